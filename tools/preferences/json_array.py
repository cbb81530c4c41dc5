"""The elements of a JSON array, cut out of a stream: memory does not grow with the file."""

import re
from collections.abc import Iterator
from typing import BinaryIO

_BLOCK_BYTES = 1 << 20
_STRUCTURE = re.compile(rb'["\\\[\]{},]')
_BLANK = b" \t\r\n"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class ArrayDamaged(Exception):
    """The array does not end, an element of it is empty, or something stands after it."""


def begins_array(stream: BinaryIO) -> bool:
    """Whether a JSON array is what comes next; reads nothing away from a buffered stream."""
    return stream.peek(1).removeprefix(_BYTE_ORDER_MARK).lstrip(_BLANK).startswith(b"[")


def array_elements(stream: BinaryIO) -> Iterator[bytes]:
    """The text of each element, in order. Throws ArrayDamaged."""
    cutter = _Cutter()
    while not cutter.is_done:
        block = stream.read(_BLOCK_BYTES)
        if not block:
            raise ArrayDamaged("the file ends inside a JSON array")
        yield from cutter.cut(block)
    rest = cutter.rest
    while rest or (rest := stream.read(_BLOCK_BYTES)):
        if rest.strip(_BLANK):
            raise ArrayDamaged("text after a JSON array: one array, or a JSON object per line")
        rest = b""


class _Cutter:
    """Follows brackets and strings over the ends of blocks."""

    def __init__(self) -> None:
        self._depth = 0
        self._is_in_string = False
        self._num_escaped = 0  # bytes at the beginning of the next block that belong to an escape
        self._num_elements = 0
        self._element = b""  # what earlier blocks have of the current element
        self.is_done = False
        self.rest = b""  # after the array

    def cut(self, block: bytes) -> Iterator[bytes]:
        """The elements that end in this block."""
        begin, next_place = 0, self._num_escaped
        for found in _STRUCTURE.finditer(block):
            place, byte = found.start(), found[0]
            if place < next_place:
                continue
            if self._is_in_string:
                next_place = place + 2 if byte == b"\\" else place + 1
                self._is_in_string = byte != b'"'
            elif byte == b'"':
                self._is_in_string = True
            elif byte in b"[{":
                self._depth += 1
                begin = place + 1 if self._depth == 1 else begin
            else:
                self._depth -= byte in b"]}"
                if self._depth == (byte == b","):
                    yield self._checked(self._element + block[begin:place], is_last=byte == b"]")
                    self._element, begin = b"", place + 1
                if self._depth == 0:
                    self.is_done, self.rest = True, block[begin:]
                    return
        self._num_escaped = max(0, next_place - len(block))
        self._element += block[begin:]

    def _checked(self, element: bytes, is_last: bool) -> bytes:
        """Only of an array that is empty may the one element be so. Throws ArrayDamaged."""
        self._num_elements += 1
        if (not element or element.isspace()) and not (is_last and self._num_elements == 1):
            raise ArrayDamaged(f"element {self._num_elements} of a JSON array is empty")
        return element

"""Zstandard as a stream that, unlike the library's, notices a truncated file."""

import io
from typing import BinaryIO

_READ_BYTES = 1 << 17


class ZstdUnreadable(Exception):
    """The file ends inside a frame, is not Zstandard at all, or the library is not there."""


class ZstdReader(io.RawIOBase):
    """Decompresses all frames of a file, one after the other. The file stays the caller's."""

    def __init__(self, raw: BinaryIO):
        # Few files need it, and not every machine has it.
        try:
            import zstandard
        except ImportError:
            raise ZstdUnreadable("reading it needs the Python package zstandard, which is not installed") from None
        self._library = zstandard
        self._raw = raw
        self._context = zstandard.ZstdDecompressor()
        self._frame = self._context.decompressobj()
        self._frame_has_begun = False
        self._rest = b""  # compressed bytes after the end of a frame
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:
        while not self._ready:
            if not self._decompress_some():
                return 0
        num_bytes = min(len(target), len(self._ready))
        target[:num_bytes] = self._ready[:num_bytes]
        self._ready = self._ready[num_bytes:]
        return num_bytes

    def _decompress_some(self) -> bool:
        """False at the end of the file."""
        block = self._rest or self._raw.read(_READ_BYTES)
        if not block:
            if self._frame_has_begun:
                raise ZstdUnreadable("the file ends inside a Zstandard frame")
            return False
        try:
            self._ready = memoryview(self._frame.decompress(block))
        except self._library.ZstdError as error:
            raise ZstdUnreadable(str(error)) from None
        self._frame_has_begun = not self._frame.eof
        self._rest = self._frame.unused_data if self._frame.eof else b""
        if self._frame.eof:
            self._frame = self._context.decompressobj()
        return True

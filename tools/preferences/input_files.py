"""Input files -> chunks of raw rows. Reads as a stream: memory does not grow with the file.

The first process only cuts the input up; decoding the rows is left to the workers, which get a chunk each. Chunks do
not depend on the number of workers, so neither does the output.
"""

import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .counts import Counts, DropReason
from .errors import InputError, shown
from .json_array import ArrayDamaged, array_elements, begins_array
from .options import Column, Columns
from .rows import COMPLETIONS, CONTEXT, is_ranked
from .zstd_stream import ZstdReader, ZstdUnreadable

CHUNK_ROWS = 256
CHUNK_BYTES = 1 << 20
_JSON_SUFFIXES = {".jsonl", ".json"}
_OPENERS = {
    ".gz": lambda raw: gzip.GzipFile(fileobj=raw),
    ".zst": lambda raw: io.BufferedReader(ZstdReader(raw), 1 << 20),
}


class Chunk(Protocol):
    """Some consecutive rows of one file, cheap to send to another process."""

    source: str  # the file's stem
    progress_bytes: int  # of all input as stored, what had been read up to the end of this chunk

    def rows(self, counts: Counts) -> Iterator[tuple[str, Any]]:
        """Place and content of each row. What cannot be decoded goes into `counts`."""


@dataclass(frozen=True)
class LineChunk:
    """Rows as JSON text: lines, or the elements of an array."""

    file: str
    source: str
    first_line: int  # or element
    lines: list[bytes]
    progress_bytes: int

    def rows(self, counts: Counts) -> Iterator[tuple[str, Any]]:
        for number, line in enumerate(self.lines, self.first_line):
            if not line.strip():
                continue
            place = f"{self.file}:{number}"
            try:
                row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except (ValueError, RecursionError) as error:
                text = shown(line.decode(errors="replace").strip())
                counts.drop(
                    DropReason.MALFORMED, place, f"{text}: a JSON object per line, or an array of them ({error})"
                )
            else:
                yield place, row


@dataclass(frozen=True)
class TableChunk:
    """Rows of a Parquet file, as an Arrow stream."""

    file: str
    source: str
    first_row: int
    table: bytes
    progress_bytes: int
    unread: tuple[str, ...] = ()  # columns that were left in the file

    def rows(self, counts: Counts) -> Iterator[tuple[str, Any]]:
        import pyarrow.ipc

        unread = dict.fromkeys(self.unread)
        with pyarrow.ipc.open_stream(self.table) as reader:
            table = reader.read_all()
        for number, row in enumerate(_decoded_rows(table), self.first_row):
            place = f"{self.file}:{number}"
            if isinstance(row, Exception):
                counts.drop(DropReason.MALFORMED, place, f"values that Python can hold ({type(row).__name__}: {row})")
            else:
                yield place, row | unread


def _decoded_rows(table: Any) -> list[dict[str, Any] | Exception]:
    """Each row, or why it cannot be: a map may have a key twice, a text be no UTF-8, a time finer than Python's."""
    try:
        return table.to_pylist(maps_as_pydicts="strict")
    except Exception as error:  # whatever a kind of column raises
        if len(table) == 1:
            return [error]
        return [row for number in range(len(table)) for row in _decoded_rows(table.slice(number, 1))]


def check_inputs(files: list[Path]) -> None:
    """Throws InputError that names every file that is missing or of a kind we do not read."""
    faults = []
    for file in files:
        if not file.is_file():
            faults.append(f"{file}: no such file")
        elif _parts(file)[1] not in {*_JSON_SUFFIXES, ".parquet"}:
            faults.append(f"{file}: {file.suffix or 'no suffix'}: .jsonl or .json (also with .gz or .zst), or .parquet")
    if faults:
        raise InputError("\n".join(faults))


def read_inputs(files: list[Path], columns: Columns) -> Iterator[Chunk]:
    """All rows of all files, in order. Throws InputError, naming the file, when one is damaged."""
    bytes_before = 0
    for file in files:
        is_table = _parts(file)[1] == ".parquet"
        try:
            yield from _read_table(file, columns, bytes_before) if is_table else _read_lines(file, bytes_before)
        except (OSError, EOFError, zlib.error, ZstdUnreadable, ArrayDamaged) as error:
            raise InputError(f"{file}: cannot be read: {error}") from None
        bytes_before += file.stat().st_size


def _parts(file: Path) -> tuple[str, str, str]:
    """Stem, suffix of the format, suffix of the packing or nothing."""
    bare = file.with_suffix("") if file.suffix in _OPENERS else file
    if bare.suffix in _JSON_SUFFIXES:
        return bare.stem, bare.suffix, file.suffix if bare != file else ""
    return file.stem, file.suffix, ""


def _source(file: Path) -> str:
    """The file's stem; what is no UTF-8 in it is written out."""
    return os.fsencode(_parts(file)[0]).decode(errors="backslashreplace")


def _read_lines(file: Path, bytes_before: int) -> Iterator[Chunk]:
    packing = _parts(file)[2]
    with file.open("rb", buffering=CHUNK_BYTES) as raw:
        stream = _OPENERS.get(packing, lambda plain: plain)(raw)
        first_line, lines, num_bytes = 1, list[bytes](), 0
        for line in array_elements(stream) if begins_array(stream) else stream:
            lines.append(line)
            num_bytes += len(line)
            if len(lines) == CHUNK_ROWS or num_bytes >= CHUNK_BYTES:
                yield LineChunk(str(file), _source(file), first_line, lines, bytes_before + raw.tell())
                first_line, lines, num_bytes = first_line + len(lines), [], 0
        if lines:
            yield LineChunk(str(file), _source(file), first_line, lines, bytes_before + raw.tell())


def _read_table(file: Path, columns: Columns, bytes_before: int) -> Iterator[Chunk]:
    import pyarrow
    import pyarrow.parquet

    try:
        # Opened here: the library takes no name that is no UTF-8.
        with file.open("rb") as raw, pyarrow.parquet.ParquetFile(raw, buffer_size=CHUNK_BYTES) as parquet:
            all_names = parquet.schema_arrow.names
            names = _present(file, columns, all_names)
            unread = tuple(name for name in all_names if name not in names)
            num_rows, file_bytes, next_row = parquet.metadata.num_rows, file.stat().st_size, 1
            for batch in parquet.iter_batches(CHUNK_ROWS, columns=names):
                first_row, next_row = next_row, next_row + batch.num_rows
                progress_bytes = bytes_before + file_bytes * (next_row - 1) // num_rows
                yield TableChunk(str(file), _source(file), first_row, _serialized(batch), progress_bytes, unread)
    except pyarrow.ArrowException as error:
        raise InputError(f"{file}: cannot be read: {error}") from None


def _present(file: Path, columns: Columns, names: list[str]) -> list[str]:
    """The columns to read. Throws InputError when one is missing."""
    wanted = columns.all()
    responses = (columns.chosen, columns.rejected)
    if is_ranked(names, columns):
        wanted = [column for column in wanted if column not in responses] + [Column(CONTEXT), Column(COMPLETIONS)]
    missing = [column.name for column in wanted if column.is_required and column.name not in names]
    if missing:
        raise InputError(
            f"{file}: {', '.join(missing)}: missing: columns of these names (there are: {', '.join(names)})"
        )
    return [column.name for column in wanted if column.name in names]


def _serialized(batch: Any) -> bytes:
    import pyarrow
    import pyarrow.ipc

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()

"""Kinds of input files, and what is wrong with some."""

import gzip
from pathlib import Path

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import zstandard
from model_folders import assistant, user
from preferences.chunk_encoder import ChunkEncoder
from preferences.errors import InputError
from preferences.fingerprints import input_fingerprint
from preferences.input_files import CHUNK_BYTES, CHUNK_ROWS, check_inputs, read_inputs
from preferences.options import Columns, EncodingOptions
from program import run, text_rows, write_lines

CHAT = [
    {"chosen": [user("a"), assistant("b")], "rejected": [user("a"), assistant(word), user("c")], "label": 0.5}
    for word in "xy"
]


def rows_of(*files: Path) -> list:
    problems = []
    rows = [row for chunk in read_inputs(list(files), Columns()) for row in chunk.rows(problems)]
    assert problems == []
    return rows


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "a.jsonl", text_rows(CHUNK_ROWS * 2 + 10))


def packed(lines: Path, suffix: str) -> Path:
    content = lines.read_bytes()
    # Two members, two frames: files that were put together.
    halves = [content[: len(content) // 2], content[len(content) // 2 :]]
    pack = gzip.compress if suffix == ".gz" else zstandard.ZstdCompressor().compress
    file = lines.with_suffix(lines.suffix + suffix)
    file.write_bytes(b"".join(map(pack, halves)))
    return file


def as_table(file: Path, rows: list[dict]) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file, row_group_size=100)
    return file


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_packed_lines_are_the_lines(lines: Path, suffix: str):
    file = packed(lines, suffix)
    assert [row for _, row in rows_of(file)] == [row for _, row in rows_of(lines)]
    assert rows_of(file)[-1][0] == f"{file}:{CHUNK_ROWS * 2 + 10}"
    assert {chunk.source for chunk in read_inputs([file], Columns())} == {"a"}


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_truncated_file_is_named(lines: Path, suffix: str):
    file = packed(lines, suffix)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match=f"^{file}: cannot be read: "):
        rows_of(file)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def test_a_file_of_another_kind_is_named(tmp_path: Path, name: str):
    (tmp_path / name).write_text("not packed at all\n")
    with pytest.raises(InputError, match=f"^{tmp_path / name}: cannot be read: "):
        rows_of(tmp_path / name)


def test_a_table_gives_the_rows_of_the_lines(lines: Path, tmp_path: Path):
    rows = text_rows(CHUNK_ROWS * 2 + 10)
    table = as_table(tmp_path / "b.parquet", [row | {"unused": [1]} for row in rows])
    assert [row for _, row in rows_of(table)] == rows
    assert rows_of(table)[-1][0] == f"{table}:{CHUNK_ROWS * 2 + 10}"


def test_a_table_of_chat_gives_the_tokens_of_the_lines(chatml: Path, tmp_path: Path):
    # In a table each message has the fields of all: here "name", mostly null.
    CHAT[0]["chosen"][0]["name"] = "Ann"
    encoder = ChunkEncoder(EncodingOptions(chatml, 100))
    files = [write_lines(tmp_path / "a.jsonl", CHAT), as_table(tmp_path / "b.parquet", CHAT)]
    first, second = (encoder.encode(chunk) for file in files for chunk in read_inputs([file], Columns()))
    assert len(first.label) == 2 and np.array_equal(first.tokens, second.tokens)
    assert np.array_equal(first.label, second.label) and second.label.tolist() == [0.5, 0.5]


def test_a_table_without_a_column_is_named(tmp_path: Path):
    table = as_table(tmp_path / "b.parquet", [{"prompt": "a", "chosen": "b"}])
    with pytest.raises(
        InputError, match="b.parquet: rejected: missing: columns of these names .there are: prompt, chosen"
    ):
        rows_of(table)


def test_lines_may_be_blank_end_as_on_windows_and_begin_with_a_mark(tmp_path: Path):
    file = tmp_path / "a.json"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"a": 2}')
    assert rows_of(file) == [(f"{file}:1", {"a": 1}), (f"{file}:4", {"a": 2})]


def test_chunks_are_bounded_in_rows_and_bytes(tmp_path: Path):
    file = write_lines(tmp_path / "a.jsonl", [{"chosen": "x" * (CHUNK_BYTES // 3)}] * 10 + [{}] * 1000)
    chunks = [chunk.lines for chunk in read_inputs([file], Columns())]
    assert max(map(len, chunks)) == CHUNK_ROWS
    assert max(sum(map(len, lines)) for lines in chunks) < CHUNK_BYTES * 4 / 3 + 100


def test_files_are_read_in_the_order_given(tmp_path: Path, bare: Path):
    first, second = write_lines(tmp_path / "v1.2.jsonl", text_rows(2)), write_lines(tmp_path / "b.jsonl", text_rows(3))
    done = run(bare, [second, first], tmp_path / "out.h5", "--workers", "2")
    assert done.returncode == 0, done.stderr
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["source"][:].tolist() == [0, 0, 0, 1, 1]
        assert file["source_names"][:].tolist() == [b"b", b"v1.2"]


def test_the_input_fingerprint_depends_on_bytes_and_order_alone(tmp_path: Path):
    def of(*contents: str) -> str:
        files = [tmp_path / f"{len(contents)}-{i}" for i in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_text(content)
        return input_fingerprint(files, lambda: None)

    assert of("a", "b") == of("a", "b")
    assert len({of("a", "b"), of("b", "a"), of("ab", ""), of("ab"), of("a", "b", "")}) == 5


def test_missing_and_unknown_files_are_all_named(tmp_path: Path):
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(InputError) as error:
        check_inputs([tmp_path / "a.csv", tmp_path / "b.jsonl"])
    assert str(error.value).splitlines() == [
        f"{tmp_path / 'a.csv'}: .csv: .jsonl or .json (also with .gz or .zst), or .parquet",
        f"{tmp_path / 'b.jsonl'}: no such file",
    ]

"""Kinds of input files, and what is wrong with some."""

import gzip
import io
import json
import os
from pathlib import Path

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import zstandard
from model_folders import assistant, byte_level_tokenizer, encoder, save_model, user
from preferences import json_array
from preferences.counts import Counts, DropReason
from preferences.errors import InputError
from preferences.fingerprints import input_fingerprint
from preferences.input_files import CHUNK_BYTES, CHUNK_ROWS, check_inputs, read_inputs
from preferences.options import Columns
from program import run, text_rows, write_lines

CHAT = [
    {"chosen": [user("a") | name, assistant("b")], "rejected": [user("a"), assistant(word), user("c")], "label": 0.5}
    for word, name in (("x", {"name": "Ann"}), ("y", {}))
]


def rows_of(*files: Path) -> list:
    counts = Counts()
    rows = [row for chunk in read_inputs(list(files), Columns()) for row in chunk.rows(counts)]
    assert counts.num_read == 0
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
    assert [row for _, row in rows_of(table)] == [row | {"unused": None} for row in rows]
    assert rows_of(table)[-1][0] == f"{table}:{CHUNK_ROWS * 2 + 10}"


TOOLS = [
    [{"type": "function", "function": {"name": "rain", "parameters": {"properties": {"city": {"type": "string"}}}}}],
    [
        {
            "type": "function",
            "function": {"name": "add", "parameters": {"properties": {"a": {"type": "number", "minimum": 0}}}},
        }
    ],
]
CALLS = (
    [{"function": {"name": "rain", "arguments": {"city": "Oslo"}}}],
    [{"function": {"name": "add", "arguments": {"a": 1}}}],
)
AGENTS = [
    {
        "prompt": [user("a") | ({"name": "Ann"} if i else {})],
        "chosen": [
            {"role": "assistant", "tool_calls": CALLS[i]},
            {"role": "tool", "content": "5", "tool_call_id": "x"},
            assistant("b"),
        ],
        "rejected": [assistant("c")],
        "tools": TOOLS[i],
        "chat_template_kwargs": {"loud": True} if i else {"quiet": True},
    }
    for i in (0, 1)
] + [{"prompt": [user("a")], "chosen": [assistant("d")], "rejected": [assistant("e")]}]
SHOWS_ALL = "{{ tools | tojson }}{{ loud }}{{ quiet }}{% for m in messages %}<{{ m | tojson }}>{% endfor %}"


@pytest.mark.parametrize(
    "rows", [CHAT, AGENTS, [row | {"label": 0.5} for row in text_rows(9)]], ids=["chat", "agents", "text"]
)
def test_lines_arrays_and_tables_of_the_same_rows_give_the_same_bytes(tmp_path: Path, rows: list[dict]):
    # In a table each struct has the fields of all, mostly null: in messages, calls, tools and arguments.
    model = save_model(tmp_path / "m", byte_level_tokenizer(["</s>"]), SHOWS_ALL, eos_token="</s>")
    files = [write_lines(tmp_path / "a.jsonl", rows), as_table(tmp_path / "a.parquet", rows)]
    for name, indent in (("a.json", None), ("indented.json", 2)):
        files.append(tmp_path / name)
        files[-1].write_text(json.dumps(rows, indent=indent))
    worker = encoder(model)
    chunks = [worker.encode(chunk) for file in files for chunk in read_inputs([file], Columns())]
    assert [chunk.counts.num_written for chunk in chunks] == [len(rows)] * 4, chunks[0].counts
    for chunk in chunks[1:]:
        for column in ("tokens", "lengths", "label", "weight", "pair_id"):
            assert np.array_equal(getattr(chunk, column), getattr(chunks[0], column))


@pytest.mark.parametrize("block_bytes", [1, 2, 7, 1 << 20])
def test_an_array_is_cut_at_its_elements(monkeypatch: pytest.MonkeyPatch, block_bytes: int):
    monkeypatch.setattr(json_array, "_BLOCK_BYTES", block_bytes)
    elements = [{"a": 'x,]}"\\', "b": [1, {"c": "]["}]}, {}, 3, '\\",', [], [[1], 2], {"é\n": "{"}]
    for indent in (None, 1):
        text = b"\xef\xbb\xbf \n" + json.dumps(elements, indent=indent, ensure_ascii=False).encode() + b"\n\n"
        stream = io.BufferedReader(io.BytesIO(text))
        assert json_array.begins_array(stream)
        assert [json.loads(element) for element in json_array.array_elements(stream)] == elements


def test_an_array_may_be_empty_and_lines_are_none():
    assert list(json_array.array_elements(io.BytesIO(b" [ ] "))) == [b" "]
    assert not json_array.begins_array(io.BufferedReader(io.BytesIO(b'{"a": [1]}')))
    assert not json_array.begins_array(io.BufferedReader(io.BytesIO(b"")))


@pytest.mark.parametrize(("text", "message"), [("[{}, {}", "ends inside a JSON array"), ("[{}]\n[{}]", "text after a JSON array"),
                                               ('[{"a": "]}', "ends inside a JSON array"),
                                               ("[{},,{}]", "element 2 of a JSON array is empty"),
                                               ("[,{}]", "element 1 of a JSON array is empty"),
                                               ("[{}, {},\n]", "element 3 of a JSON array is empty"),
                                               ("[ ,]", "element 1 of a JSON array is empty")])  # fmt: skip
def test_an_array_that_is_damaged_is_named(tmp_path: Path, text: str, message: str):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=f"^{tmp_path / 'a.json'}: cannot be read: .*{message}"):
        rows_of(tmp_path / "a.json")


def test_a_table_may_hold_maps(tmp_path: Path):
    kind = pyarrow.map_(pyarrow.string(), pyarrow.string())
    table = pyarrow.table({"chosen": pyarrow.array([[("role", "user")]], kind), "rejected": ["a"]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert [row for _, row in rows_of(tmp_path / "a.parquet")] == [{"chosen": {"role": "user"}, "rejected": "a"}]


NOT_PYTHONS = {
    "a map with a key twice": pyarrow.array([[("a", "b")], [("a", "b"), ("a", "c")], [("a", "d")]],
                                            pyarrow.map_(pyarrow.string(), pyarrow.string())),
    "text that is no UTF-8": pyarrow.array([b"a", b"\xff\xfe", b"c"]).cast(pyarrow.binary()).view(pyarrow.string()),
    "a time in nanoseconds": pyarrow.array([1000, 1001, 2000], pyarrow.timestamp("ns")),
    "a struct with such text": pyarrow.StructArray.from_arrays(
        [pyarrow.array([b"a", b"\xff\xfe", b"c"]).cast(pyarrow.binary()).view(pyarrow.string())], ["a"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", NOT_PYTHONS)
def test_a_value_of_a_table_that_python_cannot_hold_loses_its_row_alone(tmp_path: Path, kind: str):
    table = pyarrow.table({"chosen": ["a", "b", "c"], "rejected": ["d", "e", "f"], "source": NOT_PYTHONS[kind]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    counts = Counts()
    rows = [row for chunk in read_inputs([tmp_path / "a.parquet"], Columns()) for row in chunk.rows(counts)]
    assert [(place, row["chosen"]) for place, row in rows] == [
        (f"{tmp_path / 'a.parquet'}:{n}", text) for n, text in ((1, "a"), (3, "c"))
    ]
    assert counts.dropped == {DropReason.MALFORMED: 1}
    assert counts.examples["malformed"].startswith(f"{tmp_path / 'a.parquet'}:2: values that Python can hold (")


def test_a_table_of_ranked_completions_needs_no_responses(tmp_path: Path):
    ranked = [{"rank": i, "completion": [assistant("yes" if i else "no")]} for i in (0, 1)]
    rows = [{"context": [user("a")], "completions": ranked, "id": 1}]
    assert [row for _, row in rows_of(as_table(tmp_path / "a.parquet", rows))] == [rows[0] | {"id": None}]


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


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_files_name_may_be_any_bytes(tmp_path: Path, bare: Path, kind: str):
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xe9\xff\xc3\xa9." + kind.encode()))
    (write_lines if kind == "jsonl" else as_table)(tmp_path / "rows", text_rows(3)).rename(file)
    done = run(bare, file, tmp_path / "out.h5")
    assert done.returncode == 0, done.stderr
    with h5py.File(tmp_path / "out.h5") as output:
        assert [name.decode() for name in output["source_names"]] == ["b\\xe9\\xffé"]

"""Rows that are wrong are named, never guessed at."""

from pathlib import Path
from typing import Any

import pytest
from model_folders import assistant, encode, user
from preferences.chunk_encoder import ChunkEncoder
from preferences.input_files import LineChunk
from preferences.options import Column, Columns, EncodingOptions

GOOD = {"prompt": "The sky is", "chosen": " blue", "rejected": " green"}


def problems(model: Path, line: bytes, columns: Columns | None = None) -> list[str]:
    options = EncodingOptions(model, 100, columns=columns or Columns())
    encoded = ChunkEncoder(options).encode(LineChunk("data/a.jsonl", "a", 7, [line], 0))
    assert len(encoded.label) == 0
    return [str(problem) for problem in encoded.problems]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"chosen": ', """data/a.jsonl:7: '{"chosen":': a JSON object per line (Expecting value"""),
        (b"\xff{}", "data/a.jsonl:7: '\ufffd{}': a JSON object per line ('utf-8' codec"),
        (b"[" * 100_000, "a JSON object per line (maximum recursion"),
        (b"[1, 2]", "data/a.jsonl:7: [1, 2]: a JSON object per line"),
        (b'{"chosen": "a"}', "data/a.jsonl:7: rejected: missing: a column of this name (there are: chosen)"),
        (b'{"chosen": "a", "rejected": null}', "data/a.jsonl:7: rejected: None: text, or a list of messages"),
        (b'{"chosen": "a", "rejected": 5}', "data/a.jsonl:7: rejected: 5: text, or a list of messages"),
        (b'{"chosen": "a", "rejected": "\\ud800"}', "data/a.jsonl:7: rejected: '\\ud800': valid Unicode"),
        (b'{"chosen": ["a"], "rejected": []}', "data/a.jsonl:7: chosen: 'a': a message"),
        (
            b'{"chosen": [{"content": "a"}], "rejected": []}',
            """data/a.jsonl:7: chosen: {'content': 'a'}: a message with a "role\"""",
        ),
        (
            b'{"chosen": [{"role": "user"}], "rejected": []}',
            """data/a.jsonl:7: chosen: {'role': 'user'}: a message with a "content\"""",
        ),
        (b'{"chosen": "a", "rejected": "b", "label": NaN}', "data/a.jsonl:7: label: nan: a number from 0 to 1"),
        (b'{"chosen": "a", "rejected": "b", "label": 1.01}', "data/a.jsonl:7: label: 1.01: a number from 0 to 1"),
        (b'{"chosen": "a", "rejected": "b", "label": -0.1}', "data/a.jsonl:7: label: -0.1: a number from 0 to 1"),
        (b'{"chosen": "a", "rejected": "b", "label": "1"}', "data/a.jsonl:7: label: '1': a number from 0 to 1"),
        (b'{"chosen": "a", "rejected": "b", "label": true}', "data/a.jsonl:7: label: True: a number from 0 to 1"),
        (b'{"chosen": "a", "rejected": "b", "weight": -1}', "data/a.jsonl:7: weight: -1: a finite number, 0 or more"),
        (b'{"chosen": "a", "rejected": "b", "weight": NaN}', "data/a.jsonl:7: weight: nan: a finite number, 0 or more"),
        (
            b'{"chosen": "a", "rejected": "b", "weight": 1e39}',
            "data/a.jsonl:7: weight: 1e+39: a finite number, 0 or more",
        ),
        (b'{"chosen": "a", "rejected": "b", "source": 1.5}', "data/a.jsonl:7: source: 1.5: text"),
    ],
)
def test_a_bad_row_is_named(bare: Path, line: bytes, message: str):
    (problem,) = problems(bare, line)
    assert message in problem


def test_a_column_that_the_user_named_must_be_there(bare: Path):
    columns = Columns(label=Column("agreement", is_required=True))
    (problem,) = problems(bare, b'{"chosen": "a", "rejected": "b", "label": 1}', columns)
    assert "data/a.jsonl:7: agreement: missing: a column of this name (there are: chosen, rejected, label)" in problem


def test_chat_needs_a_template(bare: Path):
    chunk = encode(bare, {"chosen": [user("a"), assistant("b")], "rejected": [user("a"), assistant("c")]})
    (problem,) = chunk.problems
    assert (
        str(problem) == f"train.jsonl:1: chat messages: text, or a model folder with a chat template ({bare} has none)"
    )


def test_every_bad_row_of_a_chunk_is_named(bare: Path):
    chunk = encode(bare, GOOD | {"label": 2}, GOOD, GOOD | {"weight": -1})
    assert [problem.place for problem in chunk.problems] == ["train.jsonl:1: label", "train.jsonl:3: weight"]


def test_label_weight_and_source_are_read(bare: Path):
    chunk = encode(bare, GOOD | {"label": 0.7, "weight": 2, "source": "web"}, GOOD, GOOD | {"label": None, "source": 3})
    assert chunk.label.tolist() == pytest.approx([0.7, 1, 1]) and chunk.label.dtype == "float32"
    assert chunk.weight.tolist() == [2, 1, 1]
    assert chunk.sources == ["web", "train", "3"]


def test_any_column_may_have_any_name(bare: Path):
    def named(name: str) -> Any:
        return Column(name, is_required=True)

    columns = Columns(named("q"), named("good"), named("bad"), named("p"), named("w"), named("s"))
    row = {"q": "The sky is", "good": " blue", "bad": " green", "p": 0.25, "w": 3, "s": "x", "prompt": 1, "label": "no"}
    assert (encode(bare, row, columns=columns).tokens == encode(bare, GOOD).tokens).all()
    assert encode(bare, row, columns=columns).label.tolist() == [0.25]

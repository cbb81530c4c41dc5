"""Rows that are wrong are counted by reason with an example, never guessed at."""

from pathlib import Path
from typing import Any

import pytest
from model_folders import assistant, encode, encoder, user
from preferences.chat import ChatRenderer
from preferences.counts import DropReason
from preferences.encoding import PairEncoder
from preferences.input_files import LineChunk
from preferences.options import Column, Columns, TemplateOptions
from preferences.rows import RowReader

GOOD = {"prompt": "The sky is", "chosen": " blue", "rejected": " green"}


def example(model: Path, line: bytes, columns: Columns | None = None) -> str:
    """What is said of a row that cannot be read, with its reason."""
    encoded = encoder(model, columns=columns or Columns()).encode(LineChunk("data/a.jsonl", "a", 7, [line], 0))
    assert len(encoded.label) == 0 and encoded.fault is None and encoded.counts.num_dropped == 1
    ((reason, text),) = encoded.counts.examples.items()
    return f"{reason}: {text}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            b'{"chosen": ',
            """data/a.jsonl:7: '{"chosen":': a JSON object per line, or an array of them (Expecting value""",
        ),
        (b"\xff{}", "data/a.jsonl:7: '\ufffd{}': a JSON object per line, or an array of them ('utf-8' codec"),
        (b"[" * 100_000, "a JSON object per line, or an array of them (maximum recursion"),
        (b'{"chosen": ' + b"[" * 900 + b"]" * 900 + b', "rejected": "a"}', "malformed: data/a.jsonl:7: chosen: [["),
        (b'{"chosen": "a", "rejected": "b", "tools": ' + b'[{"a": ' * 400 + b"1" + b"}]" * 400 + b"}", "malformed: "),
        (b"[1, 2]", "data/a.jsonl:7: [1, 2]: a JSON object"),
        (b'{"chosen": "a"}', "data/a.jsonl:7: rejected: missing: a column of this name (there are: chosen)"),
        (b'{"chosen": "a", "rejected": null}', "null: data/a.jsonl:7: rejected: null: text, or a list of messages"),
        (b'{"prompt": null, "chosen": "a", "rejected": "b"}', "null: data/a.jsonl:7: prompt: null: text, or"),
        (b'{"chosen": "a", "rejected": "b", "label": null}', "null: data/a.jsonl:7: label: null: a number from 0 to 1"),
        (b'{"chosen": "a", "rejected": "b", "weight": null}', "null: data/a.jsonl:7: weight: null: a finite number"),
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
def test_a_row_that_cannot_be_read_is_counted_and_shown(bare: Path, line: bytes, message: str):
    assert message in example(bare, line)


def test_a_column_that_the_user_named_must_be_there(bare: Path):
    columns = Columns(label=Column("agreement", is_required=True))
    text = example(bare, b'{"chosen": "a", "rejected": "b", "label": 1}', columns)
    assert "data/a.jsonl:7: agreement: missing: a column of this name (there are: chosen, rejected, label)" in text


def test_chat_needs_a_template(bare: Path, tmp_path: Path):
    row = {"chosen": [user("a"), assistant("b")], "rejected": [user("a"), assistant("c")]}
    assert encode(bare, row, row).fault == (
        f"{bare}: chat messages, but the folder has no chat template: --chat-template FILE gives one"
    )
    (tmp_path / "t.jinja").write_text("{{ messages[0].content }}{% if not add_generation_prompt %}={% endif %}")
    chunk = encode(
        bare, row | {"rejected": [user("a"), assistant("c"), user("d")]}, template=TemplateOptions(tmp_path / "t.jinja")
    )
    assert chunk.fault is None and chunk.counts.num_read == 1


def test_every_row_of_a_chunk_is_counted(bare: Path):
    counts = encode(bare, GOOD | {"label": 2}, GOOD, GOOD | {"weight": -1}, GOOD | {"label": None}).counts
    assert counts.dropped == {DropReason.MALFORMED: 2, DropReason.NULL: 1} and counts.num_written == 1
    assert counts.examples[DropReason.MALFORMED] == "train.jsonl:1: label: 2: a number from 0 to 1"


def test_columns_that_nothing_reads_are_named_once(bare: Path):
    counts = encode(bare, GOOD, GOOD | {"id": 1, "score": 2}, GOOD | {"id": 2}).counts
    assert counts.unread == {"column id": "train.jsonl:2", "column score": "train.jsonl:2"}


def test_label_weight_and_source_are_read(bare: Path):
    chunk = encode(
        bare, GOOD | {"label": 0.7, "weight": 2, "source": "web"}, GOOD, GOOD | {"source": 3}, GOOD | {"source": None}
    )
    assert chunk.label.tolist() == pytest.approx([0.7, 1, 1, 1]) and chunk.label.dtype == "float32"
    assert chunk.weight.tolist() == [2, 1, 1, 1]
    assert chunk.sources == ["web", "train", "3", "train"]


def test_any_column_may_have_any_name(bare: Path):
    def named(name: str) -> Any:
        return Column(name, is_required=True)

    columns = Columns(named("q"), named("good"), named("bad"), named("p"), named("w"), named("s"))
    row = {"q": "The sky is", "good": " blue", "bad": " green", "p": 0.25, "w": 3, "s": "x", "prompt": 1, "label": "no"}
    assert (encode(bare, row, columns=columns).tokens == encode(bare, GOOD).tokens).all()
    assert encode(bare, row, columns=columns).label.tolist() == [0.25]


@pytest.mark.parametrize("stage", ["RowReader.read", "PairEncoder.encode", "ChatRenderer.render"])
def test_an_error_that_nobody_thought_of_names_the_row(chatml: Path, monkeypatch: pytest.MonkeyPatch, stage: str):
    owner = {"RowReader": RowReader, "PairEncoder": PairEncoder, "ChatRenderer": ChatRenderer}[stage.partition(".")[0]]
    name = stage.partition(".")[2]
    real = getattr(owner, name)

    def failing(self: Any, *given: Any) -> Any:
        if "NOBODY" in repr(given):
            raise KeyError("thought")
        return real(self, *given)

    monkeypatch.setattr(owner, name, failing)
    rows = [
        {"prompt": [user("a")], "chosen": [assistant(word)], "rejected": [assistant("c")]}
        for word in ("b", "NOBODY", "d")
    ]
    fault = encode(chatml, *rows).fault
    assert fault.startswith("train.jsonl:2: an error of this program (rows_test.py:"), fault
    assert "KeyError: 'thought'" in fault

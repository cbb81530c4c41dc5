"""Ten thousand rows, each changed in some way: every one is written as transformers would, or counted with a reason."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from model_folders import CHATML, assistant, byte_level_tokenizer, encoder, pairs_of, save_model, user
from preferences.input_files import CHUNK_ROWS, LineChunk
from transformers import AutoTokenizer

NUM_ROWS = 10_000
WORDS = "the sky is blue and grass green what color very deep sea naïve 天气 \n ok".split(" ")
VALUES = [
    None,
    "",
    "x",
    0,
    -1,
    2.5,
    True,
    [],
    {},
    [None],
    [[]],
    {"role": "user"},
    "[",
    '{"role":',
    "\ud800",
    float("nan"),
    "\u0000",
]
TEMPLATE = "{{ bos_token }}{% if tools %}{{ tools | tojson }}{% endif %}" + CHATML.replace(
    "message['content'] }}",
    "message['content'] }}{% for c in message.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = byte_level_tokenizer(["<s>", "<|im_start|>", "<|im_end|>"])
    return save_model(tmp_path_factory.mktemp("m") / "m", tokenizer, TEMPLATE, bos_token="<s>", eos_token="<|im_end|>")


def plain_row(chance: random.Random) -> dict[str, Any]:
    def text() -> str:
        return " ".join(chance.choices(WORDS, k=chance.randint(1, 6))) + str(chance.randrange(10**6))

    talk = [user(text()), assistant(text()), user(text())][chance.choice([0, 2]) :]
    row = {"prompt": talk, "chosen": [assistant(text())], "rejected": [assistant(text())]}
    if chance.random() < 0.2:
        row["tools"] = [
            {"type": "function", "function": {"name": text(), "parameters": {"properties": {"a": {"type": "string"}}}}}
        ]
    if chance.random() < 0.2:
        row["chosen"].insert(
            0, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": text()}}}]}
        )
        row["chosen"].insert(1, {"role": "tool", "content": text()})
    return row


# --- changes that do not change what is meant


def as_text(row: dict[str, Any], chance: random.Random) -> None:
    for name in chance.sample(["prompt", "chosen", "rejected", "tools"], k=2):
        if name in row:
            row[name] = json.dumps(row[name], indent=chance.choice([None, 2]))


def with_nulls(row: dict[str, Any], chance: random.Random) -> None:
    for name in ("prompt", "chosen", "rejected"):
        for message in row[name]:
            message |= dict.fromkeys(chance.sample(["name", "tool_call_id", "reasoning_content"], k=2))
            message.setdefault("content", None)
    for tool in row.get("tools", []):
        tool["function"]["parameters"]["properties"]["b"] = None


def in_parts(row: dict[str, Any], _chance: random.Random) -> None:
    for name in ("prompt", "chosen"):
        for message in row[name]:
            if "content" in message:
                text = message["content"]
                message["content"] = [{"type": "text", "text": text[:3]}, {"type": "text", "text": text[3:]}]


def whole_conversations(row: dict[str, Any], chance: random.Random) -> None:
    for name in ("chosen", "rejected"):
        row[name] = [message | {"id": chance.randrange(9)} for message in row["prompt"]] + row[name]
    if chance.random() < 0.5:
        del row["prompt"]


def from_value(row: dict[str, Any], _chance: random.Random) -> None:
    names = {"user": "human", "assistant": "gpt"}
    for name in ("prompt", "rejected"):
        row[name] = [{"from": names[message["role"]], "value": message["content"]} for message in row[name]]


def single_message(row: dict[str, Any], _chance: random.Random) -> None:
    (row["rejected"],) = row["rejected"]


def ranked(row: dict[str, Any], _chance: random.Random) -> None:
    row["completions"] = [{"rank": 5, "completion": row.pop("rejected")}, {"rank": 2, "completion": row.pop("chosen")}]
    row["context"] = row.pop("prompt")


SAME = [
    as_text,
    with_nulls,
    in_parts,
    whole_conversations,
    from_value,
    single_message,
    ranked,
    lambda row, chance: None,
]


# --- changes that lose the row, or may


def places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each container with each key or index in it."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places_in(value[key])


def wild(row: dict[str, Any], chance: random.Random) -> None:
    for _ in range(chance.randint(1, 3)):
        container, key = chance.choice(list(places_in(row)) or [(row, "prompt")])
        action = chance.choice(["replace", "remove", "exchange", "text"])
        if action == "remove":
            container.pop(key, None) if isinstance(container, dict) else container.pop(key)
        elif action == "exchange":
            other, place = chance.choice(list(places_in(row)))
            container[key] = copy.deepcopy(other[place])
        elif action == "text":
            container[key] = json.dumps(container[key])
        else:
            container[key] = copy.deepcopy(chance.choice(VALUES))


def broken_line(line: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(line))
    return chance.choice(
        [line[:place] or b"{", line[:place] + b"\xff" + line[place:], line[:place] + b"}" + line[place:]]
    )


def is_plain(row: Any) -> bool:
    """Whether transformers can be asked about a row as it is."""
    parts = [row.get(name) for name in ("prompt", "chosen", "rejected")] if isinstance(row, dict) else [None]
    return all(
        isinstance(part, list) and part and all(isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str)
                                                and not m.get("tool_calls") for m in part)
        for part in parts
    ) and not row.get("tools") and row["prompt"] != row["chosen"][: len(row["prompt"])]  # fmt: skip


def changed(chance: random.Random, change: Callable[..., None] | None) -> tuple[dict[str, Any], bytes]:
    """The row as transformers takes it, and the line to read."""
    row = plain_row(chance)
    if change is None:
        wild(row, chance)
        line = json.dumps(row).encode()
        if chance.random() < 0.1:
            line = broken_line(line, chance)
        try:
            return json.loads(line), line
        except ValueError:
            return {}, line
    other = copy.deepcopy(row)
    change(other, chance)
    return row, json.dumps(other).encode()


def right_tokens(reference: Any, row: dict[str, Any]) -> list[list[int]]:
    tools = row.get("tools")
    return [
        reference.apply_chat_template(row["prompt"] + row[name], tools=tools, return_dict=False)
        for name in ("chosen", "rejected")
    ]


@pytest.mark.parametrize("change", SAME, ids=lambda change: change.__name__.strip("<>"))
def test_what_is_meant_is_written(model: Path, change: Callable[..., None]):
    chance, reference = random.Random(change.__name__), AutoTokenizer.from_pretrained(model)
    rows = [changed(chance, change) for _ in range(NUM_ROWS // 2 // len(SAME))]
    chunk = encoder(model, max_length=10_000).encode(LineChunk("a.jsonl", "a", 1, [line for _, line in rows], 0))
    assert chunk.counts.num_written == len(rows), chunk.counts
    for (row, _), (prompt, chosen, rejected) in zip(rows, pairs_of(chunk), strict=True):
        assert [prompt + chosen, prompt + rejected] == right_tokens(reference, row)


def test_whatever_comes_is_written_right_or_counted(model: Path):
    chance, reference = random.Random(19), AutoTokenizer.from_pretrained(model)
    worker, num_read, num_compared, reasons = encoder(model, max_length=10_000), 0, 0, set()
    for _ in range(NUM_ROWS // 2 // CHUNK_ROWS):
        rows = [changed(chance, None) for _ in range(CHUNK_ROWS)]
        for row, line in rows:
            chunk = worker.encode(LineChunk("a.jsonl", "a", 1, [line], 0))
            assert chunk.fault is None and chunk.counts.num_read == 1 and chunk.counts.num_written == len(chunk.lengths)
            reasons |= set(chunk.counts.dropped)
            if chunk.counts.num_written and is_plain(row):
                ((prompt, chosen, rejected),) = pairs_of(chunk)
                assert [prompt + chosen, prompt + rejected] == right_tokens(reference, row), row
                num_compared += 1
        together = worker.encode(LineChunk("a.jsonl", "a", 1, [line for _, line in rows], 0)).counts
        assert together.num_read == len(rows)
        num_read += len(rows)
    assert num_read > 4500 and num_compared > 200
    assert reasons >= {"malformed", "null", "empty_response", "foreign_turn", "template"}, reasons

"""The forms in which messages are written: taken as what they are, or the row is lost; never trained on as text."""

import json
from pathlib import Path
from typing import Any

import pytest
from model_folders import assistant, encode, pairs_of, user
from preferences.counts import DropReason, RowLost
from preferences.messages import read_text, read_tools

TALK = [user("hi"), assistant("good")]
CALL = {"name": "rain", "arguments": {"city": "Oslo"}}


@pytest.mark.parametrize(
    ("value", "messages"),
    [
        (assistant("good"), [assistant("good")]),
        ([{"from": "human", "value": "hi"}, {"from": "gpt", "value": "good", "id": 3}], [user("hi"), assistant("good") | {"id": 3}]),
        ([{"from": "function_call", "value": json.dumps(CALL)}], [{"role": "assistant", "tool_calls": [{"type": "function", "function": CALL}]}]),
        ([{"from": "function_call", "value": json.dumps(CALL | {"id": None})}], [{"role": "assistant", "tool_calls": [{"type": "function", "function": CALL}]}]),
        ([{"from": "observation", "value": "wet"}], [{"role": "tool", "content": "wet"}]),
        ([user([{"type": "text", "text": "h"}, {"type": "text", "text": "i"}])], [user("hi")]),
        (json.dumps(TALK), TALK),
        (json.dumps(TALK, indent=1), TALK),
        ("\ufeff \n" + json.dumps(TALK), TALK),
        (json.dumps(json.dumps(TALK)), TALK),
        (json.dumps(assistant("good")), [assistant("good")]),
        (str(TALK), TALK),
        ([json.dumps(message) for message in TALK], TALK),
        (json.dumps([{"from": "human", "value": "hi"}]), [user("hi")]),
        ([{"role": "assistant", "content": None, "tool_calls": [{"function": CALL, "id": None}]}],
         [{"role": "assistant", "tool_calls": [{"function": CALL}]}]),
        ([{"role": "assistant", "tool_calls": json.dumps([{"function": CALL}])}], [{"role": "assistant", "tool_calls": [{"function": CALL}]}]),
    ],
)  # fmt: skip
def test_messages_of_any_form_become_those_that_templates_take(value: Any, messages: list[dict]):
    assert read_text("chosen", value) == messages


@pytest.mark.parametrize(
    "text",
    ["good", "[1, 2]", "[]", '{"a": 1}', '{"role": "a plumber", "content": "pipes"}', '[{"name": "x"}]', '"[good]"', "[{'role' is a key}]",
     '{"from": "Paris", "value": 3}', 'def f(): return {"role": "user"}', '{"type": "role", "content": "x"'],
)  # fmt: skip
def test_text_stays_text(text: str):
    assert read_text("chosen", text) == text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (json.dumps(TALK)[:-8], "chosen: .*: messages as JSON text that can be read"),
        (
            "[{'content': 'hi', 'role': 'user'}\n {'content': 'good', 'role': 'assistant'}]",
            "messages as JSON text that can be read",
        ),
        ([user(5)], "a content of text, or of parts"),
        ([user([{"type": "image", "url": "x"}])], "a content of text, or of parts"),
        ([user({"type": "text", "text": "hi"})], "a content of text, or of parts"),
        ([{"from": "nobody", "value": "hi"}], '"from" one of human'),
        ([{"from": ["human"], "value": "hi"}], '"from" one of human'),
        ([{"from": "human", "value": 5}], 'a "value", which is text'),
        ([{"from": "function_call", "value": "rain"}], "a function_call whose"),
        ([{"role": "assistant"}], 'a message with a "content", which is text'),
        ([{"role": ["user"], "content": "hi"}], 'a message with a "role", which is text'),
        ([{"role": "assistant", "tool_calls": [5]}], 'whose "tool_calls" are a list of objects'),
        ([{"role": "assistant", "tool_calls": [{"function": "f"}]}], 'and so is each "function"'),
        ([{"role": "assistant", "tool_calls": [{"function": ["f"]}]}], 'and so is each "function"'),
        ([{"role": "assistant", "tool_calls": '[{"function": "f"}]'}], 'and so is each "function"'),
        ([{"role": "assistant", "tool_calls": "rain"}], "tool_calls: 'rain': a list of JSON schemas"),
        ([user("hi") | {"name": "\ud800"}], "valid Unicode"),
        ([user("hi") | {"\ud800": "name"}], "valid Unicode"),
        ([user("hi") | {"name": {"first": [{"\udfff": 1}]}}], "valid Unicode"),
        ([{"from": "function_call", "value": json.dumps(CALL | {"name": "\ud800"})}], "valid Unicode"),
        ([{"from": "function_call", "value": json.dumps([CALL, CALL | {"\ud800": 1}])}], "valid Unicode"),
        ([{"role": "assistant", "tool_calls": json.dumps([{"function": CALL | {"name": "\ud800"}}])}], "valid Unicode"),
        (
            [{"role": "assistant", "tool_calls": json.dumps([{"function": {"arguments": {"\ud800": 1}}}])}],
            "valid Unicode",
        ),
        (json.dumps([user("\ud800")]), "valid Unicode"),
        (json.dumps([user("hi") | {"\ud800": 1}]), "valid Unicode"),
        (["hi"], "chosen: 'hi': a message"),
        (5, "chosen: 5: text, or a list of messages"),
    ],
)
def test_messages_that_cannot_be_read_lose_the_row(value: Any, message: str):
    with pytest.raises(RowLost, match=message) as lost:
        read_text("chosen", value)
    assert lost.value.reason is DropReason.MALFORMED


def test_tools_may_be_text_in_whole_or_in_part():
    tool = {"type": "function", "function": {"name": "rain", "description": None}}
    right = [{"type": "function", "function": {"name": "rain"}}]
    for written in ([tool], json.dumps([tool]), [json.dumps(tool)]):
        assert read_tools("tools", written) == right
    for name, text in (("rain", "\ud800"), ("\ud800", "rain")):
        for written in ([{name: text}], json.dumps([{name: text}]), [json.dumps({name: text})]):
            with pytest.raises(RowLost, match="valid Unicode"):
                read_tools("tools", written)
    for wrong in ("rain", 5, [5], "[5]", '{"a": 1}', ["rain"]):
        with pytest.raises(RowLost, match="tools: .*: a list of JSON schemas, or its text"):
            read_tools("tools", wrong)


def ranked(*ranks: Any) -> dict[str, Any]:
    texts = ("good", "bad", "worse")
    return {"completions": [{"rank": r, "completion": [assistant(texts[i])]} for i, r in enumerate(ranks)]}


def test_the_completion_of_lower_rank_is_chosen(chatml: Path):
    context = {"context": [user("hi")]}
    (named,) = pairs_of(
        encode(
            chatml, context | {"prompt": [user("hi")], "chosen": [assistant("good")], "rejected": [assistant("bad")]}
        )
    )
    chunk = encode(chatml, context | ranked(0, 1), context | ranked(2, 1))
    assert list(pairs_of(chunk)) == [named, (named[0], named[2], named[1])]
    assert chunk.counts.unread == {}


@pytest.mark.parametrize(
    "row", [ranked(0, 0), ranked(0, 1, 2), ranked(0), ranked("a", "b"), {"completions": 5}, {"completions": ["a", "b"]}]
)
def test_completions_without_an_order_are_malformed(chatml: Path, row: dict[str, Any]):
    counts = encode(chatml, {"context": [user("hi")]} | row).counts
    assert counts.dropped == {DropReason.MALFORMED: 1} and "two completions" in counts.examples["malformed"]


def test_a_context_beside_a_prompt_is_named_as_unread(chatml: Path):
    row = {"prompt": [user("hi")], "context": [user("bye")]} | ranked(0, 1)
    chunk = encode(chatml, row)
    assert chunk.counts.unread == {"column context": "train.jsonl:1"}
    assert list(pairs_of(chunk)) == list(pairs_of(encode(chatml, {"prompt": [user("hi")]} | ranked(0, 1))))

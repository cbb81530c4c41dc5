"""Where a row's prompt ends."""

from typing import Any

import pytest
from model_folders import assistant, user
from preferences.prompts import Turns, part_row
from preferences.rows import PreferenceRow, RowProblem


def part(prompt: Any, chosen: Any, rejected: Any) -> Turns:
    return part_row(PreferenceRow("a.jsonl:1", prompt, chosen, rejected, 1.0, 1.0, "a"))


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt"),
    [
        ("The sky is blue.", "The sky is green.", "The sky is"),  # the space goes to the responses
        ("The sky is blue.", "The sky is black.", "The sky is bl"),  # as TRL: characters, not words
        ("Hot\nyes", "Hot\nno", "Hot\n"),
        ("yes", "no", ""),
        (" yes", " no", ""),
        ("Well", "Well done", "Wel"),  # no response is left empty
        ("Well", "Well", "Wel"),
        ("a b", "a bc", "a"),
        ("", "x", ""),
        ("é" * 5000 + "a", "é" * 5000 + "b", "é" * 5000),
    ],
)
def test_common_text_is_the_prompt_when_none_is_given(chosen: str, rejected: str, prompt: str):
    assert part(None, chosen, rejected) == Turns(prompt, chosen[len(prompt) :], rejected[len(prompt) :])


def test_explicit_text_stays_as_it_is():
    assert part("The sky", "The sky is blue", "The sky is green") == Turns(
        "The sky", "The sky is blue", "The sky is green"
    )


def test_common_messages_are_the_prompt_when_none_is_given():
    talk = [user("a"), assistant("b"), user("c")]
    assert part(None, [*talk, assistant("d")], [*talk, assistant("e")]) == Turns(
        talk, [assistant("d")], [assistant("e")]
    )


def test_each_response_keeps_a_message_when_one_conversation_begins_the_other():
    chosen, rejected = [user("a"), assistant("b")], [user("a"), assistant("b"), user("c"), assistant("d")]
    assert part(None, chosen, rejected) == Turns([user("a")], chosen[1:], rejected[1:])


def test_explicit_messages_stay_as_they_are():
    assert part([user("a")], [assistant("b")], [assistant("c")]) == Turns(
        [user("a")], [assistant("b")], [assistant("c")]
    )


def test_explicit_messages_that_the_responses_repeat_are_not_doubled():
    turns = part([user("a")], [user("a"), assistant("b")], [user("a"), assistant("c")])
    assert turns == Turns([user("a")], [assistant("b")], [assistant("c")])


def test_text_beside_whole_conversations_is_not_the_prompt():
    turns = part("a", [user("a"), assistant("b")], [user("a"), assistant("c")])
    assert turns == Turns([user("a")], [assistant("b")], [assistant("c")])


@pytest.mark.parametrize(
    ("prompt", "chosen", "rejected", "message"),
    [
        (None, "a", [assistant("b")], "a.jsonl:1: rejected: .*text, as chosen is"),
        (None, [assistant("a")], "b", "a.jsonl:1: rejected: 'b': messages, as chosen is"),
        ([user("a")], "b", "c", "a.jsonl:1: prompt: .*text, as chosen and rejected are"),
        ("a", [assistant("b")], [assistant("c")], "a.jsonl:1: prompt: 'a': messages, since"),
    ],
)
def test_mixed_kinds_are_a_problem(prompt: Any, chosen: Any, rejected: Any, message: str):
    with pytest.raises(RowProblem, match=message):
        part(prompt, chosen, rejected)

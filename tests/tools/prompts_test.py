"""Where a row's prompt ends."""

import itertools
from typing import Any

import pytest
from model_folders import assistant, user
from preferences.counts import RowLost
from preferences.prompts import Turns, part_row
from preferences.rows import PreferenceRow

SYSTEM = {"role": "system", "content": "be kind"}


def part(prompt: Any, chosen: Any, rejected: Any, unread: tuple[str, ...] = ()) -> Turns:
    return part_row(PreferenceRow(prompt, chosen, rejected, unread=unread))


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt"),
    [
        ("The sky is blue.", "The sky is green.", "The sky is"),  # the space goes to the responses
        ("The sky is blue.", "The sky is black.", "The sky is"),  # between words, not inside one
        ("I don't", "I don'", "I"),
        ("Hot\nyes", "Hot\nno", "Hot\n"),
        ("yes", "no", ""),
        ("yes", "yellow", ""),
        (" yes", " no", ""),
        ("Well", "Well done", ""),  # no response is left empty
        ("Well", "Well", ""),
        ("a b", "a bc", "a"),
        ("é" * 5000 + " a", "é" * 5000 + " b", "é" * 5000),
        ("天气很好", "天气很坏", "天气很"),  # no spaces between words
        ("か\u3099", "か\u309a", ""),  # not between a letter and its mark
        ("맑음이다", "맑음입니다", ""),  # Korean has spaces
    ],
)
def test_common_text_is_the_prompt_when_none_is_given(chosen: str, rejected: str, prompt: str):
    assert part(None, chosen, rejected) == Turns(prompt, chosen[len(prompt) :], rejected[len(prompt) :])


HUMAN, ASSISTANT = "\n\nHuman: ", "\n\nAssistant:"


@pytest.mark.parametrize(
    ("human", "assistant"),
    [
        ("\n\nHuman: ", "\n\nAssistant:"),
        ("USER: ", "\nASSISTANT:"),
        ("### Instruction:\n", "\n\n### Response:"),
        ("Question: ", "\nAnswer:"),
        ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"),
        ("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"),
        ("[INST] ", " [/INST]"),
        ("<start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n"),
        ("<|user|>\n", "</s>\n<|assistant|>\n"),
    ],
)
def test_the_prompt_of_a_conversation_as_text_ends_with_the_last_mark(human: str, assistant: str):
    talk = f"{human}Is it raining?{assistant} No.{human.replace('### ', chr(10) + '### ')}Why?{assistant}"
    turns = part(None, f"{talk} The sky is clear.", f"{talk} The sky is blue.")
    assert turns == Turns(talk, " The sky is clear.", " The sky is blue.")


def test_conversations_as_text_that_differ_before_the_answer_are_lost():
    with pytest.raises(RowLost, match="foreign_turn: the texts differ from the turn .*Human:"):
        part(None, f"{HUMAN}Is it raining?{ASSISTANT} No.", f"{HUMAN}Is it cold?{ASSISTANT} No.")


def test_a_conversation_as_text_without_an_answer_is_lost():
    with pytest.raises(RowLost, match="empty_response: chosen ends with the prompt"):
        part(None, f"{HUMAN}Hi{ASSISTANT}", f"{HUMAN}Hi{ASSISTANT} Hello")


def test_a_conversation_that_repeats_its_prompt_as_text_is_not_doubled():
    prompt = f"{HUMAN}Hi{ASSISTANT}"
    assert part(prompt, prompt + " Hello", prompt + " Go") == Turns(prompt, " Hello", " Go")


@pytest.mark.parametrize("prompt", [f"{HUMAN}Hi there{ASSISTANT}", "Hi there"])
def test_text_responses_that_begin_with_the_user_are_lost(prompt: str):
    with pytest.raises(RowLost, match="foreign_turn: rejected begins with the turn of "):
        part(prompt, " Hello", f"{HUMAN}Hi{ASSISTANT} Go")


def test_headings_of_an_answer_are_no_turns():
    quiz = "Question: what is red?\nAnswer: a rose"
    assert part("Make a quiz.", quiz, "No.") == Turns("Make a quiz.", quiz, "No.")


def test_explicit_text_stays_as_it_is():
    assert part("The sky", " is blue", " is green") == Turns("The sky", " is blue", " is green")


def test_explicit_text_that_both_responses_begin_with_is_noted():
    turns = part("The sky", "The sky is blue", "The sky is green")
    assert turns == Turns("The sky", "The sky is blue", "The sky is green", repeats_prompt=True)
    assert not part("The sky", "The sky is blue", "It is green").repeats_prompt


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


CALL = [{"type": "function", "function": {"name": "rain", "arguments": {"city": "Oslo"}}, "id": "1"}]


def test_messages_are_compared_by_what_a_template_writes():
    ids = itertools.count()

    def talk(answer: str, **call: Any) -> list[dict[str, Any]]:
        calling = {"role": "assistant", "tool_calls": [CALL[0] | {"id": str(next(ids))} | call]}
        messages = [user("a"), calling, {"role": "tool", "content": "wet"}, assistant(answer)]
        return [message | {"name": str(next(ids))} for message in messages]

    chosen, rejected = talk("b"), talk("c")
    assert part(None, chosen, rejected) == Turns(chosen[:3], chosen[3:], rejected[3:])
    assert part([user("a")], chosen, rejected) == Turns([user("a")], chosen[1:], rejected[1:])
    other = talk("c", function={"name": "rain", "arguments": {"city": "Rome"}})
    assert part(None, chosen, other) == Turns(chosen[:1], chosen[1:], other[1:])


def test_an_answer_as_text_beside_messages_is_the_assistants():
    assert part([user("a")], "b", "c") == Turns([user("a")], [assistant("b")], [assistant("c")])


def test_a_question_as_text_beside_messages_is_the_users():
    assert part("a", [assistant("b")], [assistant("c")]) == Turns([user("a")], [assistant("b")], [assistant("c")])


@pytest.mark.parametrize(
    ("prompt", "chosen", "rejected"),
    [
        ([user("a ")], [user("a"), assistant("b")], [user("a"), assistant("c")]),  # not the same question to the letter
        ([SYSTEM, user("a")], [user("a"), assistant("b")], [user("a"), assistant("c")]),
        ([user("a"), assistant("b")], [user("c"), assistant("d")], [user("e"), assistant("f")]),
        (None, [user("a"), assistant("b")], [user("c"), assistant("d")]),
        ([user("a")], [assistant("b")], [SYSTEM, assistant("b")]),
        (None, [user("a")], [user("b")]),
    ],
)
def test_responses_that_begin_with_another_turn_are_lost(prompt: Any, chosen: Any, rejected: Any):
    with pytest.raises(RowLost, match="foreign_turn: (chosen|rejected) begins with the turn of '(user|system)'"):
        part(prompt, chosen, rejected)


@pytest.mark.parametrize(
    ("prompt", "chosen", "rejected", "message"),
    [
        (None, "a", [assistant("b")], "malformed: rejected: .*text, as chosen is"),
        (None, [assistant("a")], "b", "malformed: rejected: 'b': messages, as chosen is"),
        ("x", [user("a"), assistant("b")], [user("a"), assistant("c")], "malformed: prompt: 'x': a question that"),
        ([user("a")], [], [assistant("c")], "empty_response: chosen says nothing"),
        ([user("a")], [assistant("c")], [assistant("")], "empty_response: rejected says nothing"),
        ([user("a")], "c", "", "empty_response: rejected says nothing"),
        ("a", "", "b", "empty_response: chosen says nothing"),
    ],
)
def test_columns_that_do_not_fit_together_lose_the_row(prompt: Any, chosen: Any, rejected: Any, message: str):
    with pytest.raises(RowLost, match=message):
        part(prompt, chosen, rejected)


@pytest.mark.parametrize("chosen", ["yes", [assistant("yes")]])
def test_a_prompt_in_a_column_that_nothing_reads_is_not_passed_over(chosen: Any):
    rejected = "no" if chosen == "yes" else [assistant("no")]
    with pytest.raises(RowLost, match="malformed: prompt: missing, .*: --prompt-column question"):
        part(None, chosen, rejected, unread=("id", "question"))
    assert part(None, chosen, rejected, unread=("id",)).prompt in ("", [])
    talk = [user("a"), assistant("b")]
    assert part(None, talk, [user("a"), assistant("c")], unread=("question",)).prompt == [user("a")]

"""Parts a row into prompt and responses, by the rules that TRL has for its preference data sets."""

from dataclasses import dataclass
from typing import Any

from .counts import DropReason, RowLost, malformed
from .messages import Message, is_same_message
from .rows import PreferenceRow
from .speakers import first_mark, text_border


@dataclass(frozen=True)
class Turns:
    """Prompt and responses: all three plain text, or all three messages."""

    prompt: Any
    chosen: Any
    rejected: Any
    repeats_prompt: bool = False  # plain responses that begin with the prompt's text, which may be meant or not

    @property
    def is_chat(self) -> bool:
        return isinstance(self.chosen, list)


def part_row(row: PreferenceRow) -> Turns:
    """Throws RowLost when the columns do not fit together, or a response is not the assistant's."""
    prompt, chosen, rejected = row.prompt, row.chosen, row.rejected
    if isinstance(prompt, list) and isinstance(chosen, str) and isinstance(rejected, str):
        # An answer as text beside a conversation.
        chosen, rejected = ([{"role": "assistant", "content": text}] if text else [] for text in (chosen, rejected))
    if isinstance(chosen, list) != isinstance(rejected, list):
        expected = "messages, as chosen is" if isinstance(chosen, list) else "text, as chosen is"
        raise malformed("rejected", rejected, expected)
    if not chosen or not rejected:
        raise RowLost(DropReason.EMPTY_RESPONSE, f"{'rejected' if chosen else 'chosen'} says nothing")
    if isinstance(chosen, list):
        return _part_messages(row, prompt, chosen, rejected)
    return _part_text(row, prompt, chosen, rejected)


def _part_text(row: PreferenceRow, prompt: str | None, chosen: str, rejected: str) -> Turns:
    if prompt is None:
        end, mark = text_border(chosen, rejected)
        if mark is None:
            _require_no_other_prompt(row)
        elif not mark.is_assistant:
            raise RowLost(
                DropReason.FOREIGN_TURN, f"the texts differ from the turn {chosen[mark.begin : mark.end]!r} on"
            )
        return _nonempty(Turns(chosen[:end], chosen[end:], rejected[end:]))
    repeats = prompt != "" and chosen.startswith(prompt) and rejected.startswith(prompt)
    if repeats and first_mark(prompt):
        # Both texts are whole conversations: the prompt is in them already.
        return _nonempty(Turns(prompt, chosen[len(prompt) :], rejected[len(prompt) :]))
    for name, response in (("chosen", chosen), ("rejected", rejected)):
        mark = first_mark(response)
        if mark is not None and not mark.is_assistant and (mark.is_user or first_mark(prompt)):
            raise _foreign_turn(name, response.lstrip()[: mark.end])
    return Turns(prompt, chosen, rejected, repeats)


def _nonempty(turns: Turns) -> Turns:
    if not turns.chosen or not turns.rejected:
        raise RowLost(DropReason.EMPTY_RESPONSE, f"{'rejected' if turns.chosen else 'chosen'} ends with the prompt")
    return turns


def _part_messages(row: PreferenceRow, prompt: Any, chosen: list[Message], rejected: list[Message]) -> Turns:
    if isinstance(prompt, list):
        end = len(prompt)
        # Both responses are whole conversations: the prompt is in them already.
        is_repeated = all(len(talk) > end and _begins_with(talk, prompt) for talk in (chosen, rejected))
        turns = Turns(prompt, chosen[end:], rejected[end:]) if is_repeated else Turns(prompt, chosen, rejected)
    else:
        turns = _part_conversations(row, prompt, chosen, rejected)
    for name, response in (("chosen", turns.chosen), ("rejected", turns.rejected)):
        if response[0]["role"] != "assistant":
            raise _foreign_turn(name, response[0]["role"])
        if not any(message.get("content") or message.get("tool_calls") for message in response):
            raise RowLost(DropReason.EMPTY_RESPONSE, f"{name} says nothing")
    return turns


def _part_conversations(
    row: PreferenceRow, prompt: str | None, chosen: list[Message], rejected: list[Message]
) -> Turns:
    end = _common_messages(chosen, rejected)
    if prompt is None:
        if end == 0:
            _require_no_other_prompt(row)
        return Turns(chosen[:end], chosen[end:], rejected[end:])
    # Some data sets repeat a question as text next to two whole conversations.
    if any(message["role"] == "user" and _is_same_text(message.get("content"), prompt) for message in chosen[:end]):
        return Turns(chosen[:end], chosen[end:], rejected[end:])
    if chosen[0]["role"] == rejected[0]["role"] == "assistant":
        return Turns([{"role": "user", "content": prompt}] if prompt else [], chosen, rejected)
    raise malformed("prompt", prompt, "a question that the conversations have too, or responses without it")


def _common_messages(chosen: list[Message], rejected: list[Message]) -> int:
    most = min(len(chosen), len(rejected)) - 1
    return next((i for i in range(most) if not is_same_message(chosen[i], rejected[i])), most)


def _begins_with(talk: list[Message], prompt: list[Message]) -> bool:
    return bool(prompt) and all(map(is_same_message, talk, prompt))


def _is_same_text(content: str | None, text: str) -> bool:
    return content is not None and content.strip() == text.strip()


def _foreign_turn(column: str, speaker: str) -> RowLost:
    return RowLost(DropReason.FOREIGN_TURN, f"{column} begins with the turn of {speaker!r}, not with the assistant's")


def _require_no_other_prompt(row: PreferenceRow) -> None:
    """Throws RowLost when the prompt seems to stand in a column that nothing reads."""
    name = row.other_prompt
    if name is not None:
        detail = f"prompt: missing, while nothing reads the column {name}: --prompt-column {name}, or rows without it"
        raise RowLost(DropReason.MALFORMED, detail)

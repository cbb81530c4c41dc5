"""Parts a row into prompt and responses, by the rules that TRL has for its preference data sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .errors import Problem, shown
from .rows import Message, PreferenceRow, RowProblem, Text


@dataclass(frozen=True)
class Turns:
    """Prompt and responses: all three plain text, or all three messages."""

    prompt: Any
    chosen: Any
    rejected: Any

    @property
    def is_chat(self) -> bool:
        return isinstance(self.chosen, list)


def part_row(row: PreferenceRow) -> Turns:
    """Throws RowProblem when the three columns are not of one kind."""
    if isinstance(row.chosen, list) != isinstance(row.rejected, list):
        expected = "messages, as chosen is" if isinstance(row.chosen, list) else "text, as chosen is"
        raise RowProblem(Problem(f"{row.place}: rejected", shown(row.rejected), expected))
    if isinstance(row.chosen, list):
        return _part_messages(row, row.prompt, row.chosen, row.rejected)
    if row.prompt is None:
        return _part_at(_common_text(row.chosen, row.rejected), row.chosen, row.rejected)
    if isinstance(row.prompt, list):
        raise RowProblem(Problem(f"{row.place}: prompt", shown(row.prompt), "text, as chosen and rejected are"))
    return Turns(row.prompt, row.chosen, row.rejected)


def _part_messages(row: PreferenceRow, prompt: Text | None, chosen: list[Message], rejected: list[Message]) -> Turns:
    if isinstance(prompt, list):
        end = len(prompt)
        # Both responses are whole conversations: the prompt is in them already.
        if prompt and chosen[:end] == prompt == rejected[:end]:
            return _part_at(end, chosen, rejected)
        return Turns(prompt, chosen, rejected)
    # Some data sets repeat the first question as text next to two whole conversations.
    end = _common_length(chosen, rejected)
    if prompt is not None and end == 0:
        expected = "messages, since chosen and rejected do not begin with a common message"
        raise RowProblem(Problem(f"{row.place}: prompt", shown(prompt), expected))
    return _part_at(end, chosen, rejected)


def _part_at(end: int, chosen: Any, rejected: Any) -> Turns:
    return Turns(chosen[:end], chosen[end:], rejected[end:])


def _common_length(first: Sequence[Any], second: Sequence[Any]) -> int:
    """How long the common beginning is, when each is to keep at least its last item. Bisected: texts can be long."""
    low, high = 0, max(0, min(len(first), len(second)) - 1)
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_text(chosen: str, rejected: str) -> int:
    """As TRL: up to the first difference, but a space just before it belongs to the responses."""
    end = _common_length(chosen, rejected)
    return end - 1 if end > 0 and chosen[end - 1] == " " else end

"""From a decoded row of any input to a checked one. Nothing is guessed: a value of another type is a problem."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import Problem, shown
from .options import Column, Columns

Message = dict[str, Any]
Text = str | list[Message]  # plain text, or the messages of a chat

_LARGEST_FLOAT32 = 3.4028234663852886e38
_TEXT_OR_MESSAGES = 'text, or a list of messages {"role": ..., "content": ...}'


@dataclass(frozen=True)
class PreferenceRow:
    place: str  # file:line, or file:row, from 1
    prompt: Text | None  # None: the common beginning of both responses
    chosen: Text
    rejected: Text
    label: float
    weight: float
    source: str


class RowProblem(Exception):
    """Carries the problem of one row to the loop over all rows."""

    def __init__(self, problem: Problem):
        super().__init__(str(problem))
        self.problem = problem


class RowReader:
    """Checks the columns of a row."""

    def __init__(self, columns: Columns):
        self._columns = columns

    def read(self, place: str, row: object, default_source: str) -> PreferenceRow:
        """Throws RowProblem, naming the column."""
        if not isinstance(row, Mapping):
            raise RowProblem(Problem(place, shown(row), "a JSON object per line"))
        fields = _Fields(place, row)
        columns = self._columns
        return PreferenceRow(
            place=place,
            prompt=fields.text(columns.prompt),
            chosen=fields.text(columns.chosen),
            rejected=fields.text(columns.rejected),
            label=fields.number(columns.label, 1.0, "a number from 0 to 1", largest=1.0),
            weight=fields.number(columns.weight, 1.0, "a finite number, 0 or more", largest=_LARGEST_FLOAT32),
            source=fields.name(columns.source, default_source),
        )


class _Fields:
    """Typed access to one row."""

    def __init__(self, place: str, row: Mapping[str, Any]):
        self._place = place
        self._row = row

    def text(self, column: Column) -> Any:
        value = self._find(column, _TEXT_OR_MESSAGES)
        if value is None:
            return None
        if isinstance(value, str):
            return self._unicode(column, value)
        if not isinstance(value, list):
            raise self._problem(column, value, _TEXT_OR_MESSAGES)
        return [self._message(column, message) for message in value]

    def number(self, column: Column, default: float, expected: str, largest: float) -> float:
        value = self._find(column, expected)
        if value is None:
            return default
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        # Also false for NaN.
        if not is_number or not 0 <= value <= largest:
            raise self._problem(column, value, expected)
        return float(value)

    def name(self, column: Column, default: str) -> str:
        value = self._find(column, "text")
        if value is None:
            return default
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise self._problem(column, value, "text")
        return self._unicode(column, str(value))

    def _find(self, column: Column, expected: str) -> Any:
        value = self._row.get(column.name)
        if value is None and column.is_required:
            if column.name in self._row:
                raise self._problem(column, None, expected)
            columns = ", ".join(map(str, self._row)) or "none"
            raise RowProblem(
                Problem(self._place, f"{column.name}: missing", f"a column of this name (there are: {columns})")
            )
        return value

    def _message(self, column: Column, message: object) -> Message:
        if not isinstance(message, Mapping):
            raise self._problem(column, message, 'a message {"role": ..., "content": ...}')
        # Columnar files give every message all fields that any message has.
        present = {str(key): value for key, value in message.items() if value is not None}
        role, content = present.get("role"), present.get("content")
        if not isinstance(role, str):
            raise self._problem(column, message, 'a message with a "role", which is text')
        if not isinstance(content, str) and not (content is None and present.get("tool_calls")):
            raise self._problem(column, message, 'a message with a "content", which is text')
        self._unicode(column, role + (content or ""))
        return {**present, "content": content}

    def _unicode(self, column: Column, text: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise self._problem(column, text, "valid Unicode, without lone surrogates") from None
        return text

    def _problem(self, column: Column, value: object, expected: str) -> RowProblem:
        return RowProblem(Problem(f"{self._place}: {column.name}", shown(value), expected))

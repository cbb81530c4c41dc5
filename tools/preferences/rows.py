"""From a decoded row of any input to a checked one. Nothing is guessed: a value of another type loses the row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .counts import DropReason, RowLost, malformed
from .errors import shown
from .messages import TEXT_OR_MESSAGES, Text, read_object, read_text, read_tools, require_unicode
from .options import Column, Columns

_LARGEST_FLOAT32 = 3.4028234663852886e38
# Of the row form that ranks its completions: what stands for prompt, chosen and rejected.
CONTEXT, COMPLETIONS = "context", "completions"
# Names under which data sets keep a prompt: such a column is not passed over where no other prompt is to be found.
_PROMPT_NAMES = {"instruction", "question", "query", "input", "problem", "conversations", "messages", "context", "user"}
# What the template gets from elsewhere.
_RESERVED_ARGUMENTS = {"messages", "conversations", "tools", "documents", "chat_template", "add_generation_prompt",
                       "continue_final_message", "return_assistant_tokens_mask", "strftime_now"}  # fmt: skip


@dataclass(frozen=True)
class PreferenceRow:
    prompt: Text | None  # None: the common beginning of both responses
    chosen: Text
    rejected: Text
    label: float = 1.0
    weight: float = 1.0
    source: str = ""
    tools: list[dict[str, Any]] | None = None
    template_kwargs: dict[str, Any] = field(default_factory=dict)
    unread: tuple[str, ...] = ()  # columns that nothing reads

    @property
    def other_prompt(self) -> str | None:
        """An unread column that seems to hold the prompt of a row without one."""
        return next((name for name in self.unread if name in _PROMPT_NAMES), None)


class RowReader:
    """Checks the columns of a row."""

    def __init__(self, columns: Columns):
        self._columns = columns
        self._names = {column.name for column in columns.all()}

    def read(self, row: object, default_source: str) -> PreferenceRow:
        """Throws RowLost, naming the column."""
        if not isinstance(row, Mapping):
            raise RowLost(DropReason.MALFORMED, f"{shown(row)}: a JSON object")
        try:
            return self._read(row, default_source)
        except RecursionError:
            raise RowLost(DropReason.MALFORMED, f"{shown(row)}: values nested less deeply") from None

    def _read(self, row: Mapping[str, Any], default_source: str) -> PreferenceRow:
        columns = self._columns
        if is_ranked(row, columns):
            row = _ranked(row, columns)
        fields = _Fields(row)
        return PreferenceRow(
            prompt=fields.text(columns.prompt),
            chosen=fields.text(columns.chosen),
            rejected=fields.text(columns.rejected),
            label=fields.number(columns.label, 1.0, "a number from 0 to 1", largest=1.0),
            weight=fields.number(columns.weight, 1.0, "a finite number, 0 or more", largest=_LARGEST_FLOAT32),
            source=fields.name(columns.source, default_source),
            tools=fields.optional(columns.tools, read_tools),
            template_kwargs=fields.optional(columns.chat_template_kwargs, read_template_arguments) or {},
            unread=tuple(name for name in row if name not in self._names),
        )


def is_ranked(names: Iterable[str], columns: Columns) -> bool:
    """Whether a row with columns of these names ranks its completions instead of naming two responses."""
    present = set(names)
    return COMPLETIONS in present and not {columns.chosen.name, columns.rejected.name} & present


def read_template_arguments(column: str, value: object) -> dict[str, Any]:
    """A JSON object without what the template gets anyway. Throws RowLost."""
    arguments = read_object(column, value)
    taken = next((name for name in arguments if name in _RESERVED_ARGUMENTS), None)
    if taken is not None:
        raise malformed(column, value, f"other arguments than {taken}")
    return arguments


def _ranked(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """The better of two completions is chosen: the one with the lower rank. The context is the prompt of a row that has
    no other."""
    completions = row[COMPLETIONS]
    expected = 'two completions {"rank": ..., "completion": ...} of different rank'
    is_list = isinstance(completions, list) and all(isinstance(item, Mapping) for item in completions)
    if not is_list or len(completions) != 2:
        raise malformed(COMPLETIONS, completions, expected)
    ranks = [item.get("rank") for item in completions]
    if not all(isinstance(rank, int) for rank in ranks) or ranks[0] == ranks[1]:
        raise malformed(COMPLETIONS, completions, expected)
    better, worse = sorted(completions, key=lambda item: item["rank"])
    rest = {name: value for name, value in row.items() if name != COMPLETIONS}
    if CONTEXT in rest and columns.prompt.name not in rest:
        rest[columns.prompt.name] = rest.pop(CONTEXT)
    return rest | {columns.chosen.name: better.get("completion"), columns.rejected.name: worse.get("completion")}


class _Fields:
    """Typed access to one row."""

    def __init__(self, row: Mapping[str, Any]):
        self._row = row

    def text(self, column: Column) -> Text | None:
        value = self._find(column, TEXT_OR_MESSAGES)
        return None if value is None else read_text(column.name, value)

    def number(self, column: Column, default: float, expected: str, largest: float) -> float:
        value = self._find(column, expected)
        if value is None:
            return default
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        # Also false for NaN.
        if not is_number or not 0 <= value <= largest:
            raise malformed(column.name, value, expected)
        return float(value)

    def name(self, column: Column, default: str) -> str:
        """A null is the default here: a name decides nothing."""
        if self._row.get(column.name) is None and not column.is_required:
            return default
        value = self._find(column, "text")
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise malformed(column.name, value, "text")
        require_unicode(column.name, str(value))
        return str(value)

    def optional(self, column: Column, read: Any) -> Any:
        """What only some rows of a file have, so that a null is none."""
        if self._row.get(column.name) is None and not column.is_required:
            return None
        return read(column.name, self._find(column, "a value"))

    def _find(self, column: Column, expected: str) -> Any:
        """None where there is no such column. A null is not an absent column: it says nothing, and loses the row."""
        if column.name not in self._row:
            if column.is_required:
                columns = ", ".join(map(str, self._row)) or "none"
                detail = f"{column.name}: missing: a column of this name (there are: {columns})"
                raise RowLost(DropReason.MALFORMED, detail)
            return None
        value = self._row[column.name]
        if value is None:
            raise RowLost(DropReason.NULL, f"{column.name}: null: {expected}")
        return value

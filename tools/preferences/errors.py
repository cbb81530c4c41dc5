"""What can end a run early, and what its last words are."""

from dataclasses import dataclass


class InputError(Exception):
    """The user's input is wrong: exit code 2, nothing written. Names place, value and what would be right."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the input, as "file:line: column: value: what would be right"."""

    place: str
    value: str
    expected: str

    def __str__(self) -> str:
        return f"{self.place}: {self.value}: {self.expected}"


def shown(value: object, limit: int = 60) -> str:
    """A value as an error message shows it: on one line and short."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def input_error(problems: list[Problem], most: int = 10) -> InputError:
    """One error of several problems, a line each."""
    lines = [str(problem) for problem in problems[:most]]
    if len(problems) > most:
        lines.append(f"and {len(problems) - most} more nearby")
    return InputError("\n".join(lines))

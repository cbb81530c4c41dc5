"""What can end a run early, what its last words are, and how text of files reaches a terminal."""

import sys
from typing import TextIO


_SHOWN_CHARACTERS = 60


class InputError(Exception):
    """The user's input is wrong: exit code 2, nothing written. Names place, value and what would be right."""


def shown(value: object) -> str:
    """A value as a message shows it: on one line and short."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def printable(text: str) -> str:
    """What a terminal would obey or hide written out, as `repr` does; lines and tabs stay."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def say(text: str, stream: TextIO | None = None) -> None:
    """A message of the program, to standard output or another stream: the one way to a terminal. What the stream's
    encoding lacks is written out too."""
    stream = stream or sys.stdout
    encoding = stream.encoding or "utf-8"
    print(printable(text).encode(encoding, "backslashreplace").decode(encoding), file=stream)

"""What can end a run early, and what its last words are."""


class InputError(Exception):
    """The user's input is wrong: exit code 2, nothing written. Names place, value and what would be right."""


def shown(value: object, limit: int = 60) -> str:
    """A value as a message shows it: on one line and short."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."

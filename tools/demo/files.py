"""Reading and writing the demo's small text files: JSON, JSONL and what pictures and tokenizers write."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from preferences.errors import InputError
from preferences.staged_file import StagedFile


def write_bytes(path: Path, content: bytes) -> None:
    """The file appears whole or not at all, in a folder that is made if need be."""
    with StagedFile(path) as file:
        file.write(content)
        file.commit()


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    write_bytes(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def read_json(path: Path) -> Any:
    return _parse(path, 1, _read(path))


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [_parse(path, number, line) for number, line in enumerate(_read(path).splitlines(), 1)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: an earlier step of launch/demo writes it") from None


def _parse(path: Path, line: int, text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}:{line}: not JSON: {error}") from None

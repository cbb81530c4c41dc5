"""Runs tools/tokenize_preferences.py as a user does."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jobs import PATIENCE

PROGRAM = Path(__file__).resolve().parents[2] / "tools/tokenize_preferences.py"
WORDS = "the sky is blue and the grass is green what color is the deep sea it answers".split()


def command(model: Path, inputs: Path | list[Path], output: Path, *options: str) -> list[str]:
    files = [inputs] if isinstance(inputs, Path) else inputs
    fixed = ["--model", model, "--input", *files, "--output", output, "--max-length", "64", "--workers", "1"]
    return [sys.executable, str(PROGRAM), *map(str, fixed), *options]


def run(
    model: Path, inputs: Path | list[Path], output: Path, *options: str, **how: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(model, inputs, output, *options), text=True, capture_output=True, timeout=PATIENCE, **how
    )


def write_lines(file: Path, rows: Iterable[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def text_rows(number: int, num_words: int = 6) -> list[dict[str, Any]]:
    """Different rows of prompt, chosen, rejected and label."""
    rows = []
    for i in range(number):
        words = [WORDS[(i * step + step * j * j) % len(WORDS)] for step in (3, 5, 7) for j in range(num_words)]
        prompt, chosen, rejected = (" ".join(words[k * num_words : (k + 1) * num_words]) for k in range(3))
        rows.append({"prompt": prompt, "chosen": f" {chosen} {i}", "rejected": f" {rejected}", "label": i % 11 / 10})
    return rows

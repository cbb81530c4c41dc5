"""Damaged and malicious inputs of tokenize_preferences.py: it ends with 0 or 2, and never with a traceback."""

import gzip
import json
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from program import run, text_rows, write_lines

ROUNDS = 6
TOKENS = ["null", "[]", "{}", '""', "1e999", "NaN", "-1", "9" * 400, '"\\ud800"', '"a\\u0000b"', "[" * 100_000,
          '{"a": 1, "a": 2}']  # fmt: skip


def changed(text: bytes, dice: random.Random) -> bytes:
    """One change of bytes, or of a value of JSON."""
    at = dice.randrange(len(text))
    match dice.randrange(5):
        case 0:
            return text[:at]
        case 1:
            return text[:at] + bytes([dice.randrange(256)]) + text[at + 1 :]
        case 2:
            return text[:at] + text[at : at + 40] * 2 + text[at + 40 :]
        case _:
            begin = text.find(b":", at)
            end = text.find(b",", begin)
            if min(begin, end) < 0:
                return text[:at] + b"\xff\x00" + text[at:]
            return text[: begin + 1] + dice.choice(TOKENS).encode() + text[end:]


def check(model: Path, source: Path, output: Path, what: str):
    done = run(model, source, output)
    assert done.returncode in (0, 2), f"{what}: exit {done.returncode}\n{done.stderr[-2000:]}"
    assert "Traceback" not in done.stderr, f"{what}\n{done.stderr[-2000:]}"
    assert (done.returncode == 0) == output.exists(), what
    output.unlink(missing_ok=True)


def rows_as(kind: str, folder: Path) -> Path:
    """Twenty good rows in a file of this kind."""
    lines = write_lines(folder / "good.jsonl", text_rows(20))
    file = folder / f"good.{kind}"
    match kind:
        case "jsonl.gz":
            file.write_bytes(gzip.compress(lines.read_bytes()))
        case "jsonl.zst":
            file.write_bytes(zstandard.compress(lines.read_bytes()))
        case "parquet":
            pq.write_table(pa.Table.from_pylist(text_rows(20)), file)
    return file


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "jsonl.zst", "parquet"])
def test_a_damaged_input_is_refused_or_read(kind: str, tmp_path: Path, bare: Path):
    good = rows_as(kind, tmp_path).read_bytes()
    dice = random.Random(kind)
    for number in range(ROUNDS):
        source = tmp_path / f"bad.{kind}"
        source.write_bytes(changed(good, dice))
        check(bare, source, tmp_path / "out.h5", f"round {number}")


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"])
def test_a_damaged_file_of_the_model_is_refused_or_read(name: str, tmp_path: Path, chatml: Path):
    source = write_lines(tmp_path / "good.jsonl", text_rows(3))
    good = (chatml / name).read_bytes()
    dice = random.Random(name)
    for number in range(ROUNDS):
        model = shutil.copytree(chatml, tmp_path / f"model{number}")
        (model / name).write_bytes(changed(good, dice))
        check(model, source, tmp_path / "out.h5", f"round {number}")


def test_deep_nesting_in_a_row_is_refused(tmp_path: Path, bare: Path):
    source = tmp_path / "deep.jsonl"
    source.write_text(json.dumps({"prompt": "a"})[:-1] + ', "chosen": ' + "[" * 100_000 + "\n")
    check(bare, source, tmp_path / "out.h5", "100000 levels")

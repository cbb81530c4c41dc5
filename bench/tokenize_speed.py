#!/usr/bin/env python3
"""Measures tools/tokenize_preferences.py: pairs per second, and peak memory at two sizes of input.

The text is made of invented words whose frequencies fall as those of a language do (Zipf), about 900 tokens a pair
under a byte-level BPE of 8,192 tokens trained on it. Rates are whole runs, start of the processes included; the rate
per processor second depends less on what else the machine does. Memory is the proportional set size of all processes.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

PROGRAM = Path(__file__).resolve().parents[1] / "tools/tokenize_preferences.py"
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NUM_WORDS, PROMPT_WORDS, RESPONSE_WORDS = 20_000, 100, 365


@dataclass(frozen=True)
class Measurement:
    num_pairs: int
    seconds: float
    processor_seconds: float
    peak_bytes: int


def word_source(rng: random.Random) -> Callable[[int], str]:
    """Gives texts of so many words."""
    syllables = [
        first + vowel + last for first in "bcdfglmnprstvw" for vowel in "aeiou" for last in ("", "n", "r", "s")
    ]
    words = ["".join(rng.choices(syllables, k=rng.choice((1, 1, 2, 2, 3)))) for _ in range(NUM_WORDS)]
    cumulative = list(accumulate(1 / (rank + 3) for rank in range(NUM_WORDS)))
    return lambda number: " ".join(rng.choices(words, cum_weights=cumulative, k=number)) + "."


def save_model(folder: Path, text: Callable[[int], str]) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special_tokens = ["<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    options = {"special_tokens": special_tokens, "initial_alphabet": alphabet, "show_progress": False}
    tokenizer.train_from_iterator((text(1000) for _ in range(300)), trainers.BpeTrainer(vocab_size=8192, **options))
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"eos_token": "<|im_end|>", "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def rows(num_pairs: int, form: str, text: Callable[[int], str]) -> Iterator[dict]:
    for _ in range(num_pairs):
        prompt, chosen, rejected = text(PROMPT_WORDS), text(RESPONSE_WORDS), text(RESPONSE_WORDS)
        if form == "chat":
            user = {"role": "user", "content": prompt}
            chosen, rejected = ([user, {"role": "assistant", "content": response}] for response in (chosen, rejected))
            yield {"chosen": chosen, "rejected": rejected}
        else:
            yield {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def tree(process_id: int) -> list[int]:
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    return [process_id] + [descendant for child in children for descendant in tree(int(child))]


def memory_bytes(process_id: int) -> int:
    total = 0
    try:
        for member in tree(process_id):
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
    except (FileNotFoundError, ProcessLookupError):
        return 0  # one has just ended
    return total


def children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(folder: Path, num_pairs: int, workers: int) -> Measurement:
    files = ["--model", folder, "--input", folder / "pairs.jsonl", "--output", folder / "pairs.h5"]
    command = [sys.executable, PROGRAM, *files, "--max-length", "4096", "--workers", str(workers)]
    peak_bytes, processor_before, before = 0, children_seconds(), time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak_bytes = max(peak_bytes, memory_bytes(process.pid))
            time.sleep(0.1)
    if process.returncode != 0:
        sys.exit(f"{PROGRAM.name} ended with {process.returncode}")
    return Measurement(num_pairs, time.monotonic() - before, children_seconds() - processor_before, peak_bytes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20_000, help="of the larger input; the smaller has a quarter")
    parser.add_argument("--form", choices=["text", "chat"], default="text")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, text = Path(name), word_source(random.Random(0))
        save_model(folder, text)
        for num_pairs in (arguments.pairs // 4, arguments.pairs):
            with (folder / "pairs.jsonl").open("w") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows(num_pairs, arguments.form, text))
            one = measure(folder, num_pairs, arguments.workers)
            print(f"{one.num_pairs:>8,} pairs ({arguments.form}): {num_pairs / one.seconds:,.0f} pairs/s, "
                  f"{num_pairs / one.processor_seconds:,.0f} pairs per processor second, "
                  f"peak memory {one.peak_bytes / 1e6:,.0f} MB")  # fmt: skip


if __name__ == "__main__":
    main()

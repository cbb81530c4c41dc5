"""Ratings -> preference text: of two snippets the one that people liked better is chosen.

The label is the share of rater pairs (one rater of each snippet) who agree; ties count half. Held-out snippets make the
evaluation pairs: none of them is in any training file. The prompt is always the same, so that what can be learnt is how
a snippet reads that people like.
"""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .command_line import command_line
from .files import write_jsonl
from .source import Snippet, read_snippets

PROMPT = "Movie review:"
# loss_type: sft reads chosen responses alone; the format wants a rejected one too.
UNREAD_RESPONSE = " -"
# Pairs that people do not tell apart are left out, of training as of evaluation.
LEAST_AGREEMENT = 0.7


Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class PairOptions:
    seed: int = 0
    num_held_out: int = 1600
    train_rounds: int = 2  # how often each snippet is drawn into a pair
    eval_rounds: int = 1


@dataclass(frozen=True)
class PreferenceText:
    """Rows of the four files."""

    sft_train: Rows
    sft_eval: Rows
    dpo_train: Rows
    dpo_eval: Rows


def agreement(first: Snippet, second: Snippet) -> float:
    """The share of rater pairs who like `first` better than `second`; ties count half."""
    difference = np.subtract.outer(np.array(first.ratings), np.array(second.ratings))
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def prepare(snippets: list[Snippet], options: PairOptions) -> PreferenceText:
    """Deterministic by options.seed."""
    rng = random.Random(options.seed)
    shuffled = rng.sample(snippets, len(snippets))
    held_out, training = shuffled[: options.num_held_out], shuffled[options.num_held_out :]
    return PreferenceText(
        sft_train=[_row(snippet.text) for snippet in training],
        sft_eval=[_row(snippet.text) for snippet in held_out],
        dpo_train=_draw_pairs(training, options.train_rounds, rng),
        dpo_eval=_draw_pairs(held_out, options.eval_rounds, rng),
    )


def _draw_pairs(snippets: list[Snippet], rounds: int, rng: random.Random) -> Rows:
    rows = []
    for _ in range(rounds):
        order = rng.sample(snippets, len(snippets))
        for first, second in zip(order[::2], order[1::2], strict=False):
            label = agreement(first, second)
            if label < 0.5:
                first, second, label = second, first, 1 - label
            if label >= LEAST_AGREEMENT:
                rows.append(_row(first.text) | {"rejected": f" {second.text}", "label": label})
    return rows


def _row(text: str) -> dict[str, Any]:
    return {"prompt": PROMPT, "chosen": f" {text}", "rejected": UNREAD_RESPONSE}


def main(arguments: list[str]) -> None:
    parser = command_line("prepare", __doc__)
    parser.add_argument("--source", type=Path, required=True, metavar="FILE.tar.gz", help="what step source fetched")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="gets four .jsonl files")
    parsed = parser.parse_args(arguments)
    text = prepare(read_snippets(parsed.source), PairOptions())
    for name, rows in vars(text).items():
        write_jsonl(parsed.output / f"{name}.jsonl", rows)
        print(f"{name}: {len(rows)} rows")

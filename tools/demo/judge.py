"""A blind verdict on two models' texts, by VADER's rules and word list, which no model has seen.

The judge gets one text after the other in a random order and does not know whose it is.
"""

import math
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from .command_line import command_line
from .files import read_jsonl, write_json

Z_95 = 1.959963984540054  # the standard normal distribution's 97.5 % quantile

Judge = Callable[[str], float]


@dataclass(frozen=True)
class Verdict:
    """`win_rate` counts ties half; `low` and `high` are its 95 % interval."""

    num_pairs: int
    num_wins: int
    num_ties: int
    win_rate: float
    low: float
    high: float
    mean_before: float
    mean_after: float


def wilson_interval(rate: float, num_trials: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval of a binomial rate: right for rates near 0 and 1 too."""
    center = rate + z * z / (2 * num_trials)
    spread = z * math.sqrt(rate * (1 - rate) / num_trials + z * z / (4 * num_trials * num_trials))
    scale = 1 + z * z / num_trials
    return (center - spread) / scale, (center + spread) / scale


def scores_in_random_order(texts: list[str], judge: Judge, seed: int) -> list[float]:
    """Each text's score; the judge meets the texts shuffled."""
    order = random.Random(seed).sample(range(len(texts)), len(texts))
    scores = {index: judge(texts[index]) for index in order}
    return [scores[index] for index in range(len(texts))]


def compare(before: list[str], after: list[str], judge: Judge, seed: int = 0) -> Verdict:
    """The i-th text of one model against the i-th of the other. There must be at least one pair."""
    num_pairs = len(before)
    scores = scores_in_random_order(before + after, judge, seed)
    old, new = scores[:num_pairs], scores[num_pairs:]
    num_wins = sum(b > a for a, b in zip(old, new, strict=True))
    num_ties = sum(b == a for a, b in zip(old, new, strict=True))
    win_rate = (num_wins + num_ties / 2) / num_pairs
    low, high = wilson_interval(win_rate, num_pairs)
    return Verdict(num_pairs, num_wins, num_ties, win_rate, low, high, sum(old) / num_pairs, sum(new) / num_pairs)


def main(arguments: list[str]) -> None:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    parser = command_line("judge", __doc__)
    parser.add_argument("--samples", type=Path, required=True, metavar="FILE.jsonl", help="what the step sample wrote")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.json")
    parsed = parser.parse_args(arguments)
    vader = SentimentIntensityAnalyzer()
    rows = read_jsonl(parsed.samples)
    verdict = compare([row["before"] for row in rows], [row["after"] for row in rows],
                      lambda text: vader.polarity_scores(text)["compound"])  # fmt: skip
    write_json(parsed.output, asdict(verdict))
    print(f"win rate {verdict.win_rate:.3f} [{verdict.low:.3f}, {verdict.high:.3f}]")

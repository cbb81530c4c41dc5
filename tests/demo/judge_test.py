"""The verdict: blind, ties half, Wilson's interval."""

import random

import pytest
from demo.judge import compare, scores_in_random_order, wilson_interval


@pytest.mark.parametrize(
    ("wins", "trials", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17, table I: method 3, score without continuity correction.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_interval_equals_published_values(wins: int, trials: int, low: float, high: float):
    assert wilson_interval(wins / trials, trials) == pytest.approx((low, high), abs=5e-5)


def test_interval_holds_the_true_rate_95_times_in_100():
    rng = random.Random(1)
    hits = 0
    for _ in range(2000):
        wins = sum(rng.random() < 0.85 for _ in range(120))
        low, high = wilson_interval(wins / 120, 120)
        hits += low <= 0.85 <= high
    assert 0.93 < hits / 2000 < 0.97


def test_wins_losses_and_ties_are_counted():
    verdict = compare(["1", "2", "3", "4"], ["5", "2", "1", "9"], float)
    assert (verdict.num_pairs, verdict.num_wins, verdict.num_ties) == (4, 2, 1)
    assert verdict.win_rate == pytest.approx(2.5 / 4)
    assert (verdict.mean_before, verdict.mean_after) == (2.5, 4.25)
    assert verdict.low < verdict.win_rate < verdict.high


def test_equal_models_come_out_even():
    texts = [str(i) for i in range(50)]
    assert compare(texts, texts, float).win_rate == 0.5


def test_the_judge_meets_the_texts_in_an_order_that_does_not_tell_whose_they_are():
    met = []

    def judge(text: str) -> float:
        met.append(text)
        return 0.0

    compare([f"a{i}" for i in range(100)], [f"b{i}" for i in range(100)], judge, seed=5)
    assert sorted(met) == sorted([f"a{i}" for i in range(100)] + [f"b{i}" for i in range(100)])
    num_first = sum(text.startswith("a") for text in met[:100])
    assert 35 < num_first < 65


def test_scores_return_to_their_texts():
    assert scores_in_random_order(["3", "1", "2"], float, seed=9) == [3.0, 1.0, 2.0]

"""What the demo ends with."""

from pathlib import Path

import pytest
from demo.judge import compare
from demo.screen import WIDTH, Results, compose
from runs import dpo_run, sft_run


@pytest.fixture
def screen(tmp_path: Path) -> str:
    verdict = compare(["1"] * 10, ["2"] * 9 + ["1"], float)
    samples = [{"before": f"before {i} " + "long " * 200, "after": f"after {i}"} for i in range(10)]
    evaluation = {"eval_loss": 0.5, "eval_rewards/accuracies": 0.7}
    return compose(Results(sft_run(tmp_path / "sft"), dpo_run(tmp_path / "dpo"), evaluation, verdict, samples))


def test_it_tells_losses_accuracy_and_win_rate(screen: str):
    assert "8.000 -> 2.000, held out 2.500" in screen
    assert "0.600 -> 0.300, held out 0.500" in screen
    assert "0.700 of pairs of unseen snippets" in screen
    assert "0.950, 95 % interval 0.655 to 0.995 (10 pairs of texts, 1 ties" in screen


def test_it_shows_five_texts_before_and_after(screen: str):
    lines = screen.splitlines()
    assert [line for line in lines if line.startswith("  - after")] == [f"  - after {i}" for i in range(5)]
    assert sum(line.startswith("  - before") for line in lines) == 5


def test_it_fits_on_one_screen(screen: str):
    lines = screen.splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= WIDTH

"""The picture, and the metrics that it shows."""

from pathlib import Path

import pytest
from demo import curves
from demo.metrics import Series, smooth
from preferences.errors import InputError
from runs import dpo_run, sft_run, write_run


def test_the_step_writes_a_png(tmp_path: Path):
    sft_run(tmp_path / "sft"), dpo_run(tmp_path / "dpo")
    output = tmp_path / "curves.png"
    curves.main(["--sft", str(tmp_path / "sft"), "--dpo", str(tmp_path / "dpo"), "--output", str(output)])
    assert output.read_bytes().startswith(b"\x89PNG\r\n")


def test_evaluations_and_steps_are_told_apart(tmp_path: Path):
    run = dpo_run(tmp_path / "dpo")
    assert run.series("rewards/accuracies").steps == [1, 2, 3, 4]
    assert run.series("eval_rewards/accuracies") == Series([2, 4], [0.65, 0.7])
    assert run.last("eval_rewards/accuracies") == 0.7


def test_a_metric_that_is_missing_is_named(tmp_path: Path):
    run = write_run(tmp_path / "sft", [{"step": 1, "loss": 1.0}])
    with pytest.raises(InputError, match="metrics.jsonl: eval_loss"):
        run.series("eval_loss")


def test_a_cut_line_is_named(tmp_path: Path):
    with pytest.raises(InputError, match="metrics.jsonl:2: not JSON"):
        (tmp_path / "run").mkdir()
        (tmp_path / "run/metrics.jsonl").write_text('{"step": 1}\n{"step": ')
        curves.RunMetrics.load(tmp_path / "run")


def test_smoothing_takes_the_mean_of_what_came_before():
    assert smooth(Series([1, 2, 3, 4], [4.0, 2.0, 6.0, 1.0]), 2) == Series([1, 2, 3, 4], [4.0, 3.0, 4.0, 3.5])

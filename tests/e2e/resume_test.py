"""A run that was stopped is the run that was never stopped: every metric and every byte, at any layout, at any step."""

import math

import pytest
from checkpoints import tensor_bytes
from jobs import step_metrics, succeed, without_timing

STEADY = {"lr_scheduler_type": "constant", "warmup_steps": 0}
LAYOUTS = [
    {},
    {"zero_stage": 0, "data": 2},
    {"zero_stage": 1, "data": 2},
    {"zero_stage": 2, "data": 2},
    {"data": 3},
    {"tensor": 2},
    {"tensor": 2, "sequence_parallel": False},
    {"pipeline": 2, "schedule": "zb_h1"},
    {"pipeline": 2, "schedule": "gpipe"},
    {"data": 2, "tensor": 2, "zero_stage": 2},
    {"data": 2, "pipeline": 2},
]


def num_ranks(parallel):
    return math.prod(parallel.get(axis, 1) for axis in ("data", "tensor", "pipeline"))


def train(run, folder, parallel, max_steps, **changes):
    config = run.config(
        parallel=parallel,
        output={"directory": str(folder)},
        optimizer=STEADY,
        **{"train": {"max_steps": max_steps, "eval_steps": 100}, "checkpoint": {"save_steps": 100}} | changes,
    )
    succeed("train", config, ranks=num_ranks(parallel))


def results(folder, step):
    return without_timing(step_metrics(folder)), tensor_bytes(folder / "checkpoints" / f"step_{step:08}")


@pytest.mark.parametrize("parallel", LAYOUTS, ids=str)
def test_stopped_and_resumed_is_never_stopped_at_any_layout(scored_run, tmp_path, parallel):
    train(scored_run, tmp_path / "whole", parallel, 4)
    train(scored_run, tmp_path / "cut", parallel, 2)
    train(scored_run, tmp_path / "cut", parallel, 4)
    assert results(tmp_path / "cut", 4) == results(tmp_path / "whole", 4)


def train_in_phases(run, folder, max_steps):
    limits = {"max_steps": max_steps, "eval_steps": 2, "num_train_epochs": 2}
    train(run, folder, {}, max_steps, checkpoint={"save_steps": 3, "save_total_limit": 10}, train=limits)


@pytest.fixture(scope="module")
def never_stopped():
    return {"results": None}


# An epoch has 6 steps, of which the last is partial; saves come at 3, 6, ... and evaluations at 2, 4, ...
@pytest.mark.parametrize("stop", [1, 2, 3, 5, 6, 7, 11])
def test_stopped_and_resumed_is_never_stopped_at_any_step(scored_run, tmp_path, never_stopped, stop):
    for max_steps in (stop, 12):
        train_in_phases(scored_run, tmp_path / "cut", max_steps)
    if never_stopped["results"] is None:  # the same run whatever the step to stop at
        train_in_phases(scored_run, tmp_path / "whole", 12)
        never_stopped["results"] = results(tmp_path / "whole", 12)
    assert results(tmp_path / "cut", 12) == never_stopped["results"]


def test_a_run_that_is_done_ends_at_once_and_stays_as_it_is(scored_run, tmp_path):
    parallel = {"data": 2, "zero_stage": 2}
    train(scored_run, tmp_path / "run", parallel, 2)
    done = results(tmp_path / "run", 2)
    train(scored_run, tmp_path / "run", parallel, 2)
    assert results(tmp_path / "run", 2) == done

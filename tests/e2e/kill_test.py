"""A run that saves at every step and is killed at any moment goes on as the run that nothing disturbed."""

import os
import random
import signal
import time

import pytest
from checkpoints import load_checkpoint, tensor_bytes
from jobs import BINARY, PATIENCE, SOAK, running, start, step_metrics, succeed, without_timing

NUM_KILLS = 12 * SOAK
NUM_STEPS = 300 * SOAK


@pytest.fixture
def busy_run(run, score):
    score(run)
    run.sections["data"]["eval"] = []
    run.sections["train"] |= {"max_steps": NUM_STEPS, "num_train_epochs": 100}
    run.sections["checkpoint"] = {"save_steps": 1, "save_total_limit": 2}
    run.sections["optimizer"] |= {"lr_scheduler_type": "constant", "warmup_steps": 0}
    return run


def config_of(run, ranks, folder):
    return run.config(parallel={"data": ranks}, output={"directory": str(folder)})


def newest(checkpoints):
    steps = sorted(checkpoints.glob("step_*")) if checkpoints.exists() else []
    return steps[-1] if steps else None


def kill_somewhere(config, ranks, checkpoints, moments):
    """Kills one rank some steps after the run has gone on; whether it hit one."""
    before = newest(checkpoints)
    job = start("train", config, ranks=ranks)
    deadline = time.monotonic() + PATIENCE
    while job.poll() is None and newest(checkpoints) == before and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(moments.random() * 0.15)  # a step and its save take a few hundredths
    own = running(BINARY, "train", config)
    hit = job.poll() is None and bool(own)
    if hit:
        os.kill(moments.choice(own), signal.SIGKILL)
    job.communicate(timeout=PATIENCE)
    return hit


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_run_that_is_killed_at_any_moment_loses_at_most_a_step(busy_run, tmp_path, ranks):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    succeed("train", config_of(busy_run, ranks, whole), ranks=ranks)
    config = config_of(busy_run, ranks, cut)
    moments = random.Random(ranks)
    num_hits = 0
    for _ in range(NUM_KILLS // 2):
        hit = kill_somewhere(config, ranks, cut / "checkpoints", moments)
        num_hits += hit
        if not hit:  # it had come to its end
            break
        # What is committed is whole, and `latest` leads to it or to the one before.
        committed = newest(cut / "checkpoints")
        step = load_checkpoint(committed)[0]["step"]
        latest = load_checkpoint(cut / "checkpoints/latest")[0]["step"]
        assert step - latest in (0, 1)
        # Its line was there before it. A save begins when the one before is committed: one more may have been under way, and a step after it.
        assert step <= (cut / "metrics.jsonl").read_text().count("\n") <= step + 2
    assert num_hits > NUM_KILLS // 4
    succeed("train", config, ranks=ranks)
    assert without_timing(step_metrics(cut)) == without_timing(step_metrics(whole))
    last = f"checkpoints/step_{NUM_STEPS:08}"
    assert tensor_bytes(cut / last) == tensor_bytes(whole / last)

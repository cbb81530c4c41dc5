"""What a run will take is said before it starts, what it took after it has ended, and what cannot fit does not start."""

import re

import pytest
from jobs import refuse, succeed
from model_folders import VOCAB_SIZE
from pairs import random_pairs, write_preferences

UNITS = {"MiB": 1024**2, "GiB": 1024**3}
MEASURED = re.compile(r"memory: at most (\S+) (\w+) of tensors on rank (\d+) .*; planned .*, with copies for checkpoints (\S+) (\w+)")


def planned_lines(text):
    return re.findall(r"rank (\d+): (\S+) (\w+) in a step \(weights .*, gradients .*, optimizer .*, activations .*\)", text)


@pytest.mark.parametrize("parallel", [{}, {"data": 2, "zero_stage": 2}, {"tensor": 2}, {"pipeline": 2}], ids=str)
def test_check_and_plan_give_every_rank_and_a_run_takes_no_more(scored_run, parallel):
    ranks = max(parallel.values(), default=1) if parallel else 1
    config = scored_run.config(parallel=parallel)
    for verb in ("check", "plan"):
        lines = planned_lines(succeed(verb, config, "--ranks", str(ranks)).stdout)
        assert [int(rank) for rank, _, _ in lines] == list(range(ranks))
        assert all(float(amount) > 0 and unit in UNITS for _, amount, unit in lines)
    done = succeed("train", config, ranks=ranks)
    measured, unit, _, planned, planned_unit = MEASURED.search(done.stderr).groups()
    # A tiny model: buffers of fixed size and rounding to a tenth of a MiB are most of it.
    assert float(measured) * UNITS[unit] <= 1.1 * float(planned) * UNITS[planned_unit] + 0.2 * UNITS["MiB"]


@pytest.fixture
def long_run(run, model_folder, score):
    """A step of a few thousand tokens in one microbatch: activations are most of what it takes."""
    pairs = random_pairs(16, VOCAB_SIZE, seed=3, longest=250)
    write_preferences(run.train_file, pairs, model_folder, VOCAB_SIZE)
    run.sections["data"]["eval"] = []
    run.sections["batch"] = {"global_batch_size": 16, "microbatch_tokens": 16384}
    run.sections["train"] = {"max_steps": 2}
    score(run)
    return run


def test_what_cannot_fit_does_not_start_and_the_advice_does(long_run):
    limit = {"runtime": {"memory_bytes": 15 * UNITS["MiB"]}}
    config = long_run.config(**limit)
    says = ["rank 0 would take", "activations", "but has 15.0 MiB (runtime.memory_bytes)", "would fit"]
    for verb, ranks in (("check", 1), ("plan", 1), ("train", 2)):
        message = refuse(verb, config, ranks=ranks, says=says)
    assert not long_run.output.exists()
    advice = re.search(r"; (.*) would fit", message).group(1)
    overrides = [f"--set={setting.replace(': ', '=')}" for setting in advice.split(", ")]
    assert overrides
    succeed("train", config, *overrides, ranks=2)


def test_what_fits_no_setting_asks_for_more_ranks(long_run):
    config = long_run.config(runtime={"memory_bytes": UNITS["MiB"]})
    refuse("train", config, says=["but has 1.0 MiB (runtime.memory_bytes)", "take more ranks"])
    assert not long_run.output.exists()


def test_scoring_and_evaluation_that_cannot_fit_do_not_start(run):
    tight = {"runtime": {"memory_bytes": 150000}}
    says = ["rank 0 would take", "weights", "activations", "but has 0.1 MiB (runtime.memory_bytes)", "batch.microbatch_tokens"]
    for ranks in (1, 2):
        refuse("reference", run.config(**tight), ranks=ranks, says=says)
    assert not run.store.exists()
    succeed("reference", run.config())
    refuse("evaluate", run.config(**tight), "--checkpoint", "initial", says=says)

"""Jobs that Slurm takes their nodes from, or that meet their time limit, come back by themselves and compute what nobody would have disturbed."""

import math
import random
import time
from pathlib import Path

import pytest
from checkpoints import load_checkpoint, tensor_bytes
from jobs import BINARY, REPOSITORY, read_metrics, step_metrics, succeed, without_timing
from model_folders import VOCAB_SIZE
from pairs import random_pairs, write_preferences

SUBMIT = REPOSITORY / "launch/submit"
NUM_PREEMPTIONS = 3
NUM_STEPS = 40
EVAL_STEPS = 8


@pytest.fixture(scope="module")
def long_sections(inputs, tmp_path_factory):
    """A run that scores, trains and evaluates for some seconds each."""
    folder = tmp_path_factory.mktemp("long")
    model = Path(inputs["model"]["path"])
    data = [write_preferences(folder / f"{name}.h5", random_pairs(count, VOCAB_SIZE, seed=seed), model, VOCAB_SIZE) for name, count, seed in (("train", 1200, 5), ("eval", 500, 6))]
    return {
        "data": {"train": [str(data[0])], "eval": [str(data[1])]},
        "objective": {"loss_type": "sigmoid"},
        "reference": {"score": "at_start", "block_pairs": 2},
        "batch": {"global_batch_size": 64, "eval_batch_size": 8, "microbatch_tokens": 256},
        "optimizer": {"learning_rate": 1e-4, "lr_scheduler_type": "constant", "warmup_steps": 0},
        "train": {"max_steps": NUM_STEPS, "eval_steps": EVAL_STEPS, "num_train_epochs": 10},
        "checkpoint": {"save_steps": 16},
        "runtime": {"grace_seconds": 10},
    }


@pytest.fixture
def write_long(write_run, long_sections, tmp_path):
    def write(name: str) -> tuple[Path, Path]:
        sections = long_sections | {"reference": long_sections["reference"] | {"store": str(tmp_path / f"{name}.reference.h5")}}
        return write_run(name, **sections)

    return write


def submit(cluster, config: Path, output: Path, *options: str, nodes: int = 4) -> tuple[str, Path]:
    """The job and its log."""
    done = cluster.run(SUBMIT, config, f"--nodes={nodes}", "--tasks-per-node=1", f"--program={BINARY}", "--partition=low", *options)
    assert done.returncode == 0, done.stderr
    job = done.stdout.split()[1]
    return job, Path(f"{output}.slurm/{config.stem}-{job}.log")


def stops_in(log: Path) -> list[str]:
    """What the run said of each of its ends but the last."""
    return [line for line in log.read_text().splitlines() if "; train again to go on" in line or "; stopped " in line]


def last_step(output: Path) -> int:
    return max((line["step"] for line in step_metrics(output)), default=0) if (output / "metrics.jsonl").exists() else 0


def is_in(phase: str, output: Path, store: Path, steps_before: int) -> bool:
    """Whether this start of the run is in the midst of something, as its files show it."""
    if phase == "scoring":
        return any(store.with_name(store.name + ".parts").glob("block_*.h5"))
    last = last_step(output)
    if phase == "training" or last <= steps_before:
        return last > steps_before
    return last % EVAL_STEPS == 0 and not any("eval_loss" in line and line["step"] == last for line in read_metrics(output))


def test_a_job_that_is_preempted_again_and_again_computes_what_an_undisturbed_one_does(cluster, write_long, tmp_path):
    whole_config, whole = write_long("whole")
    succeed("train", whole_config, ranks=4)
    config, output = write_long("cut")
    job, log = submit(cluster, config, output)
    moments = random.Random(7)
    for number in range(NUM_PREEMPTIONS):
        phase = "scoring" if number == 0 else ("training", "evaluation")[number % 2]
        steps_before = last_step(output)
        wanted = lambda: cluster.job(job)["JobState"] == "RUNNING" and log.exists() and log.read_text().count(": start ") == number + 1  # noqa: E731, B023
        cluster.wait_until(wanted, f"start {number + 1}")
        cluster.wait_until(lambda: is_in(phase, output, tmp_path / "cut.reference.h5", steps_before) or is_over(cluster, job), phase)  # noqa: B023
        if is_over(cluster, job):
            break
        time.sleep(moments.random() * 0.5)
        high = cluster.submit("--partition=high", "-N4", "--output=/dev/null", "--wrap", "true")
        cluster.wait_for_end(high)
    assert cluster.wait_for_end(job)["JobState"] == "COMPLETED", log.read_text()
    stops = stops_in(log)
    assert len(stops) == NUM_PREEMPTIONS, log.read_text()
    assert all("SIGTERM on rank" in line for line in stops), stops
    assert "reference scores that are finished are durable" in stops[0]
    assert without_timing(read_metrics(output)) == without_timing(read_metrics(whole))
    last = f"checkpoints/step_{NUM_STEPS:08}"
    assert tensor_bytes(output / last) == tensor_bytes(whole / last)
    # And on another number of nodes, some steps more.
    job, log = submit(cluster, config, output, f"--set=train.max_steps={NUM_STEPS + 3}", nodes=2)
    assert cluster.wait_for_end(job)["JobState"] == "COMPLETED", log.read_text()
    assert f"resumed from {output}/checkpoints/step_{NUM_STEPS:08}" in log.read_text()
    assert [line["step"] for line in step_metrics(output)] == list(range(1, NUM_STEPS + 4))


def is_over(cluster, job: str) -> bool:
    return cluster.job(job)["JobState"] in ("COMPLETED", "FAILED", "CANCELLED")


def steps_that_take(seconds: float, write_long) -> int:
    """Steps that last for so long on this machine, start and scoring included, or longer."""
    config, _ = write_long("measured")
    begin = time.monotonic()
    succeed("train", config, ranks=4)
    return NUM_STEPS * math.ceil(seconds / (time.monotonic() - begin) + 1)


def test_a_job_that_meets_its_time_limit_goes_on_until_it_is_done(cluster, write_long):
    # The signal comes 50 s ahead of the limit of one minute, or up to a minute earlier: soon after the start.
    num_steps = steps_that_take(15, write_long)
    config, output = write_long("limited")
    job, log = submit(cluster, config, output, "--time=1", "--lead=50", f"--set=train.max_steps={num_steps}")
    assert cluster.wait_for_end(job)["JobState"] == "COMPLETED", log.read_text()
    stops = stops_in(log)
    assert stops and all("SIGUSR1 on rank" in line for line in stops), log.read_text()
    assert [line["step"] for line in step_metrics(output)] == list(range(1, num_steps + 1))
    assert load_checkpoint(output / "checkpoints/latest")[0]["step"] == num_steps

"""A signal at any moment: the job ends with a checkpoint and its exit code, and goes on as the run that nothing disturbed."""

import contextlib
import os
import random
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
from checkpoints import load_checkpoint, tensor_bytes
from jobs import BINARY, PATIENCE, SOAK, read_metrics, running, start, step_metrics, succeed, without_timing
from model_folders import VOCAB_SIZE
from pairs import random_pairs, write_preferences

NUM_SIGNALS = 9 * SOAK
NUM_STEPS = 300 * SOAK
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


@pytest.fixture
def long_run(run):
    """Scored, with evaluations that take as long as the steps between them."""
    succeed("reference", run.config())
    run.sections["train"] |= {"max_steps": NUM_STEPS, "num_train_epochs": 100, "eval_steps": 2}
    run.sections["checkpoint"] = {"save_steps": 7, "save_total_limit": 2}
    return run


def config_of(run, folder, ranks=1, **changes):
    return run.config(parallel={"data": ranks}, output={"directory": str(folder)}, **changes)


def catches(process: int, number: int) -> bool:
    """Whether the process has a handler of its own for the signal: before that it is an executable that is being loaded."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    return bool(int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16) >> (number - 1) & 1)


def wait_for_ranks(config, ranks: int, job) -> list[int]:
    deadline = time.monotonic() + PATIENCE
    while job.poll() is None:
        own = running(BINARY, config)
        if len(own) == ranks and all(catches(process, signal.SIGUSR2) for process in own):
            return own
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return []


def stop_somewhere(config, ranks: int, moments: random.Random) -> tuple[int, str]:
    """Sends a signal to one rank, sometimes a second one, at any moment from its start on; the job's exit code and what it said."""
    job = start("train", config, ranks=ranks)
    own = wait_for_ranks(config, ranks, job)
    time.sleep(moments.random() ** 2 * 2)  # from the start of MPI to some steps
    for _ in range(moments.choice((1, 2))):
        if own and job.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # the first one has ended it meanwhile
                os.kill(moments.choice(own), moments.choice(STOP_SIGNALS))
            time.sleep(moments.random() * 0.1)
    _, said = job.communicate(timeout=PATIENCE)
    return job.returncode, said


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_run_that_is_stopped_at_any_moment_loses_nothing(long_run, tmp_path, ranks):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    succeed("train", config_of(long_run, whole, ranks), ranks=ranks)
    config = config_of(long_run, cut, ranks)
    moments = random.Random(ranks)
    num_stopped = 0
    while num_stopped < (NUM_SIGNALS + ranks - 1) // 2:
        code, said = stop_somewhere(config, ranks, moments)
        if code == 0:
            break
        num_stopped += 1
        assert code == 75, said
        assert "error" not in said and re.search(r"s after SIG(TERM|USR1|USR2) on rank \d+ \(.+\), [\d.]+ s of runtime.grace_seconds left", said)
        if made := re.search(r"all ranks stop after step (\d+) of", said):
            assert load_checkpoint(cut / "checkpoints/latest")[0]["step"] == int(made[1])
            assert read_metrics(cut)[-1]["step"] == int(made[1])
    assert num_stopped > NUM_SIGNALS // 4
    assert not running(BINARY, config)
    succeed("train", config, ranks=ranks)
    assert without_timing(read_metrics(cut)) == without_timing(read_metrics(whole))
    last = f"checkpoints/step_{NUM_STEPS:08}"
    assert tensor_bytes(cut / last) == tensor_bytes(whole / last)


def wait_for_line(file: Path, text: str, job) -> None:
    deadline = time.monotonic() + PATIENCE
    while not (file.exists() and text in file.read_text()):
        assert job.poll() is None and time.monotonic() < deadline, job.stderr.read()
        time.sleep(0.002)


def test_an_evaluation_is_given_up_at_its_next_batch_and_made_when_the_run_goes_on(long_run, tmp_path):
    # One pair a batch; the signal comes after the step that the evaluation follows.
    changes = {"batch": {"eval_batch_size": 1}, "train": {"eval_steps": 4, "max_steps": 8}}
    succeed("train", config_of(long_run, tmp_path / "whole", **changes))
    cut, config = tmp_path / "cut", None
    for attempt in range(20):
        config = config_of(long_run, cut, **changes)
        job = start("train", config)
        wait_for_line(cut / "metrics.jsonl", '"step":4,', job)
        job.send_signal(signal.SIGTERM)
        _, said = job.communicate(timeout=PATIENCE)
        assert job.returncode == 75, said
        if "all ranks stop after step 4 of" in said and not any("eval_loss" in line for line in read_metrics(cut)):
            break
        cut = tmp_path / f"cut {attempt}"
    else:
        pytest.fail("20 signals have missed the evaluation")
    succeed("train", config)
    assert without_timing(read_metrics(cut)) == without_timing(read_metrics(tmp_path / "whole"))
    assert [line["step"] for line in read_metrics(cut) if "eval_loss" in line] == [4, 8]


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("verb", ["reference", "train"])
def test_scoring_stops_after_the_block_under_way_and_goes_on(run, ranks, verb):
    run.sections["reference"] |= {"block_pairs": 1, "score": "at_start"}
    run.sections["train"]["max_steps"] = 2
    config = run.config(parallel={"data": ranks})
    succeed("reference", config, ranks=ranks)
    expected = run.store.read_bytes()
    run.store.unlink()
    parts = run.store.with_name(run.store.name + ".parts")
    job = start(verb, config, ranks=ranks)
    deadline = time.monotonic() + PATIENCE
    while not list(parts.glob("block_*.h5")):
        assert job.poll() is None and time.monotonic() < deadline, job.stderr.read()
        time.sleep(0.002)
    os.kill(running(BINARY, config)[-1], signal.SIGUSR1)  # the other ranks have to be told
    _, said = job.communicate(timeout=PATIENCE)
    assert job.returncode == 75, said
    assert "finished are durable; stopped" in said and "SIGUSR1 on rank" in said and "error" not in said
    assert parts.exists() and not run.store.exists()
    done = succeed(verb, config, ranks=ranks)
    assert "blocks are scored already" in done.stderr
    assert run.store.read_bytes() == expected


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGHUP, 75), (signal.SIGUSR1, 75), (signal.SIGUSR2, 75)])
def test_the_launcher_hands_signals_on_and_waits_for_the_ranks(long_run, tmp_path, number, code):
    config = config_of(long_run, tmp_path / "out", 2)
    job = start("train", config, ranks=2)
    wait_for_line(tmp_path / "out/metrics.jsonl", '"step":1,', job)
    job.send_signal(number)
    job.send_signal(number)  # who is impatient does not lose the checkpoint
    _, said = job.communicate(timeout=PATIENCE)
    assert job.returncode == code, said
    assert not running(BINARY, config)
    assert "train again to go on" in said
    latest = load_checkpoint(tmp_path / "out/checkpoints/latest")[0]["step"]
    assert latest == step_metrics(tmp_path / "out")[-1]["step"]


def test_an_interrupt_beside_another_signal_wins(long_run, tmp_path):
    # Who asks at the keyboard does not want the job back.
    config = config_of(long_run, tmp_path / "out", 2)
    job = start("train", config, ranks=2)
    wait_for_line(tmp_path / "out/metrics.jsonl", '"step":1,', job)
    ranks = running(BINARY, config)
    for rank in ranks:
        os.kill(rank, signal.SIGSTOP)
    os.kill(ranks[0], signal.SIGTERM)
    os.kill(ranks[1], signal.SIGINT)
    for rank in ranks:
        os.kill(rank, signal.SIGCONT)
    _, said = job.communicate(timeout=PATIENCE)
    assert job.returncode == 130, said


# Steps and evaluations of a second and more, and much less grace.
HASTE = {"runtime": {"grace_seconds": 0.4}}


@pytest.fixture
def slow_run(run, model_folder):
    write_preferences(run.train_file, random_pairs(400, VOCAB_SIZE, seed=3), model_folder, VOCAB_SIZE)
    write_preferences(Path(run.sections["data"]["eval"][0]), random_pairs(3000, VOCAB_SIZE, seed=4), model_folder, VOCAB_SIZE)
    run.sections["objective"] = {"loss_type": "sft"}
    run.sections["reference"] = {}
    run.sections["batch"] = {"global_batch_size": 800, "eval_batch_size": 3000, "microbatch_tokens": 64}
    run.sections["optimizer"] |= {"lr_scheduler_type": "constant", "warmup_steps": 0}
    run.sections["data"]["train"] = [{"path": str(run.train_file), "repeat": 2}]
    run.sections["train"] = {"max_steps": 3, "num_train_epochs": 3, "eval_steps": 2}
    return run


def stop_after_step(config, output: Path, step: int, ranks: int) -> str:
    """What the run says that gets SIGTERM when it has made this step; nothing if the signal came later."""
    job = start("train", config, ranks=ranks)
    wait_for_line(output / "metrics.jsonl", f'"step":{step},', job)
    os.kill(running(BINARY, config)[-1], signal.SIGTERM)
    _, said = job.communicate(timeout=PATIENCE)
    assert not running(BINARY, config)
    assert job.returncode in (0, 75) and "error" not in said, said
    last = read_metrics(output)[-1]
    return said if job.returncode == 75 and last["step"] == step and "loss" in last else ""


@pytest.mark.parametrize("parallel", [{}, {"data": 2}, {"pipeline": 2}], ids=str)
def test_a_step_and_an_evaluation_that_outlast_the_grace_time_are_given_up(slow_run, tmp_path, parallel):
    ranks = max(parallel.values(), default=1)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    succeed("train", slow_run.config(parallel=parallel, output={"directory": str(whole)}), ranks=ranks)
    config = slow_run.config(parallel=parallel, output={"directory": str(cut)}, **HASTE)
    for step, what in ((1, "step 2 would"), (2, "the evaluation after step 2 would")):
        for attempt in range(10):  # a loaded machine may be late
            before = tmp_path / f"before {step} {attempt}"
            if cut.exists():
                shutil.copytree(cut, before, symlinks=True)
            if said := stop_after_step(config, cut, step, ranks):
                break
            shutil.rmtree(cut)
            if before.exists():
                before.rename(cut)
        assert f"{what} outlast runtime.grace_seconds and is given up; all ranks stop after step {step} of 3" in said, said
        assert load_checkpoint(cut / "checkpoints/latest")[0]["step"] == step
        assert [line["step"] for line in read_metrics(cut)] == list(range(1, step + 1))
    succeed("train", config, ranks=ranks)
    assert without_timing(read_metrics(cut)) == without_timing(read_metrics(whole))
    assert tensor_bytes(cut / "checkpoints/step_00000003") == tensor_bytes(whole / "checkpoints/step_00000003")


def test_a_first_step_that_is_given_up_leaves_a_run_that_can_start(slow_run):
    config = slow_run.config(runtime={"grace_seconds": 0.1})
    job = start("train", config)
    wait_for_line(slow_run.output / "run.json", "layout", job)
    job.send_signal(signal.SIGTERM)
    _, said = job.communicate(timeout=PATIENCE)
    assert job.returncode == 75, said
    assert "no step was made" in said and "error" not in said, said
    assert not (slow_run.output / "checkpoints").exists()
    succeed("train", slow_run.config(runtime={"grace_seconds": 60}, train={"max_steps": 1}))

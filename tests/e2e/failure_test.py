"""Failures while running: the job ends soon and non-zero, says where, and loses nothing that was committed."""

import os
import shutil
import signal
import time
from pathlib import Path

import h5py
import pytest
from checkpoints import tensor_bytes
from jobs import BINARY, PATIENCE, collimate, read_metrics, refuse, running, start, step_metrics, succeed, without_timing
from pairs import read_pairs
from safetensors.torch import load_file, save_file


def spoil_token(run, token: int, value: float) -> None:
    """A model whose embedding of one token holds `value`: only pairs with that token are hit."""
    folder = run.folder / "model"
    shutil.copytree(run.sections["model"]["path"], folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.embed_tokens.weight"][token, 3] = value
    save_file(tensors, folder / "model.safetensors")
    run.sections["model"]["path"] = str(folder)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_the_update_and_names_step_pair_and_rank(run, ranks, value):
    pairs = read_pairs(run.train_file)
    culprit = 10
    token = next(t for t in pairs[culprit].prompt + pairs[culprit].chosen if t not in (0, 1, 2))
    hit = [i for i, pair in enumerate(pairs) if token in pair.prompt + pair.chosen[:-1]]
    assert hit
    spoil_token(run, token, value)
    config = run.config(objective={"loss_type": "sft"}, data={"shuffle": False})
    done = collimate("train", config, ranks=ranks)
    assert done.returncode == 1, done.stderr
    assert f"step {hit[0] // 4}:" in done.stderr and "not finite" in done.stderr
    named = {i for i in range(len(pairs)) if f"train.h5: pair {i}" in done.stderr}
    assert named and named <= set(hit), done.stderr
    assert ("rank " in done.stderr) == (ranks > 1)
    assert done.stderr.count("error:") == 1
    assert len(step_metrics(run.output)) == hit[0] // 4
    assert not (run.output / "checkpoints" / f"step_{hit[0] // 4 + 1:08}").exists()


def test_a_reference_that_is_not_finite_is_never_stored(run):
    spoil_token(run, 7, float("nan"))
    done = collimate("reference", run.config(), ranks=2)
    assert done.returncode == 1, done.stderr
    assert "must be finite" in done.stderr and ": pair " in done.stderr
    assert not run.store.exists()


def test_weights_that_changed_after_scoring_are_noticed_at_step_0(scored_run):
    with h5py.File(scored_run.store, "r+") as store:
        store["chosen_logps"][:] = store["chosen_logps"][:] + 0.5
    done = collimate("train", scored_run.config(), ranks=2)
    assert done.returncode == 1, done.stderr
    assert "step 0:" in done.stderr and "same weights" in done.stderr
    assert not read_metrics(scored_run.output)


def test_a_killed_rank_ends_the_job_and_the_run_goes_on_from_its_checkpoint(scored_run):
    config = scored_run.config(train={"num_train_epochs": 200}, checkpoint={"save_steps": 5})
    job = start("train", config, ranks=2)
    latest = Path(scored_run.output) / "checkpoints" / "latest"
    deadline = time.monotonic() + PATIENCE
    while not latest.exists():
        assert job.poll() is None and time.monotonic() < deadline, job.stderr.read()
        time.sleep(0.05)
    ranks = running(BINARY, config)
    assert len(ranks) == 2
    os.kill(ranks[1], signal.SIGKILL)
    assert job.wait(PATIENCE) not in (0, 2)
    assert not running(BINARY, config)
    done = succeed("train", config, "--set", f"train.max_steps={last_step(scored_run) + 3}")
    assert "resumed from" in done.stderr


def last_step(run) -> int:
    return max(line["step"] for line in read_metrics(run.output))


def flip_bit(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 4
    file.write_bytes(content)


def files_of(folder: Path) -> dict[Path, int]:
    """Everything in it, with the times of the last changes."""
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize(("ranks", "parallel"), [(1, {}), (2, {"data": 2}), (2, {"tensor": 2})])
def test_damaged_checkpoints_are_passed_over_and_never_deleted(scored_run, ranks, parallel):
    # One that is damaged where only loading sees it: an older one is loaded over what was loaded of it.
    schedule = {"max_steps": 4, "eval_steps": 100}
    config = scored_run.config(parallel=parallel, train=schedule, checkpoint={"save_steps": 2})
    checkpoints = scored_run.output / "checkpoints"
    succeed("train", config, ranks=ranks)
    whole, steps = tensor_bytes(checkpoints / "step_00000004"), step_metrics(scored_run.output)
    flip_bit(checkpoints / "step_00000004/rank_00000.safetensors", -7)
    done = succeed("train", config, ranks=ranks)
    assert done.stderr.count("warning: checkpoint passed over: ") == 1, done.stderr
    assert "step_00000004/rank_00000.safetensors: bytes 0 to" in done.stderr and "resumed from" in done.stderr
    assert tensor_bytes(checkpoints / "step_00000004") == whole
    assert without_timing(step_metrics(scored_run.output)) == without_timing(steps)
    # One that is damaged and named, and all of them: in their files, then in their manifests.
    for folder in (checkpoints / "step_00000002", checkpoints / "step_00000004"):
        flip_bit(folder / "rank_00000.safetensors", -7)
    before = files_of(scored_run.output)
    named = str(checkpoints / "step_00000002")
    refuse("train", config, "--resume", named, ranks=ranks, says="rank_00000.safetensors: bytes 0 to")
    refuse("evaluate", config, "--checkpoint", named, ranks=ranks, says="rank_00000.safetensors: bytes 0 to")
    assert files_of(scored_run.output) == before
    for spoil in (lambda folder: None, lambda folder: (folder / "manifest.json").write_text("{}")):
        for folder in checkpoints.glob("step_*"):
            spoil(folder)
        before = files_of(scored_run.output)
        done = collimate("train", config, ranks=ranks)
        assert done.returncode == 1 and "none of the 2 checkpoints verifies" in done.stderr, done.stderr
        assert done.stderr.count("warning: checkpoint passed over: ") == 2, done.stderr
        assert files_of(scored_run.output) == before

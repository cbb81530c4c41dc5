"""The reference store: the same bytes wherever and however often it is begun, one writer at a time, nothing scored in vain."""

import json
import math
import os
import random
import re
import shutil
import signal
import time

import h5py
import numpy
import pytest
import torch
from dpo_loop import token_logps
from jobs import BINARY, PATIENCE, SOAK, collimate, refuse, running, start, step_metrics, succeed
from model_folders import VOCAB_SIZE
from pairs import pair_id, random_pairs, rows_of, write_preferences
from preferences.file_lock import FileLock
from transformers import AutoModelForCausalLM

NUM_KILLS = 10 * SOAK


@pytest.fixture
def wide_run(run, model_folder):
    """Many small blocks."""
    write_preferences(run.train_file, random_pairs(360, VOCAB_SIZE, seed=4), model_folder, VOCAB_SIZE)
    run.sections["reference"]["block_pairs"] = 3
    return run


@pytest.fixture
def expected(wide_run, score):
    """The store of a run that nothing disturbed."""
    score(wide_run)
    content = wide_run.store.read_bytes()
    wide_run.store.unlink()
    return content


def parts_folder(run):
    return run.store.with_name(run.store.name + ".parts")


def lock_file(run):
    return run.store.with_name(run.store.name + ".lock")


def start_scoring(run, ranks):
    """The command in the background; what a rank of it is called by."""
    config = run.config(parallel={"data": ranks})
    return config, start("reference", config, ranks=ranks)


def num_parts(run):
    return len(list(parts_folder(run).glob("block_*.h5"))) if parts_folder(run).exists() else 0


LAYOUTS = [
    {},
    {"data": 2},
    {"tensor": 2},
    {"tensor": 2, "sequence_parallel": False},
    {"pipeline": 2},
    {"data": 2, "tensor": 2},
    {"data": 2, "pipeline": 2},
    {"pipeline": 2, "tensor": 2},
]


@pytest.fixture(scope="module")
def their_tokens(model_folder):
    """The log-probs of the tokens of a pair's responses by transformers."""
    model = AutoModelForCausalLM.from_pretrained(model_folder)

    def score(pair):
        with torch.no_grad():
            return [token_logps(model, torch.tensor(pair.prompt), torch.tensor(response)) for response in (pair.chosen, pair.rejected)]

    return score


@pytest.fixture(scope="module")
def theirs(their_tokens):
    """Their sums."""
    return lambda pair: [values.double().sum().item() for values in their_tokens(pair)]


@pytest.mark.parametrize("parallel", LAYOUTS, ids=str)
def test_scores_equal_transformers_at_any_layout(run, theirs, parallel):
    ranks = math.prod(parallel.get(axis, 1) for axis in ("data", "tensor", "pipeline"))
    succeed("reference", run.config(reference={"block_pairs": 8}, parallel=parallel), ranks=ranks)
    rows = rows_of(run.store)
    for pair in random_pairs(24, VOCAB_SIZE, seed=1):
        assert rows[pair_id(pair)] == pytest.approx(theirs(pair), rel=1e-5)


@pytest.mark.parametrize("parallel", [{"data": 2}, {"data": 3}, {"data": 2, "zero_stage": 0, "schedule": "gpipe"}], ids=str)
def test_any_number_of_data_ranks_gives_the_same_bytes(wide_run, expected, parallel):
    succeed("reference", wide_run.config(parallel=parallel), ranks=parallel["data"])
    assert wide_run.store.read_bytes() == expected
    assert not parts_folder(wide_run).exists()
    assert not lock_file(wide_run).exists()


@pytest.mark.parametrize("parallel", [{}, {"data": 2, "tensor": 2}], ids=str)
def test_values_of_single_tokens_are_kept_on_request(run, their_tokens, parallel):
    changes = {"reference": {"per_token": True, "block_pairs": 8, "microbatch_tokens": 96}, "parallel": parallel}
    succeed("reference", run.config(**changes, data={"eval": []}), ranks=math.prod(parallel.values()))
    succeed("reference", run.config(**changes), ranks=math.prod(parallel.values()))  # adds rows to those that are there
    with h5py.File(run.store) as store:
        assert (store.attrs["microbatch_tokens"], store.attrs["block_pairs"]) == (96, 8)
        ends = (store["num_chosen_tokens"][:] + store["num_rejected_tokens"][:]).cumsum()
        values = numpy.split(store["token_logps"][:], ends[:-1])
        found = {tuple(pair): own for pair, own in zip(store["pair_id"][:].tolist(), values, strict=True)}
        sums = store["chosen_logps"][:] + store["rejected_logps"][:]
    assert [own.sum() for own in values] == pytest.approx(sums, rel=1e-5)
    for pair in random_pairs(24, VOCAB_SIZE, seed=1):
        assert found[pair_id(pair)] == pytest.approx(torch.cat(their_tokens(pair)).numpy(), rel=1e-4, abs=1e-5)
    assert json.loads(collimate("inspect", run.store, "--verify", "--json").stdout)["per_token"]


def test_a_store_without_the_tokens_that_are_asked_for_is_refused(run):
    succeed("reference", run.config())
    before = run.store.read_bytes()
    for verb in ("reference", "train"):
        refuse(verb, run.config(reference={"per_token": True}), says=["reference.h5", "reference.per_token", "another path"])
    assert run.store.read_bytes() == before


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_job_that_is_killed_at_any_moment_goes_on_where_it_was(wide_run, expected, ranks):
    moments = random.Random(ranks)
    num_before = 0
    num_hits = 0
    for _ in range(NUM_KILLS // 2):
        config, job = start_scoring(wide_run, ranks)
        # Somewhere between the first new block and, at the latest, the end.
        wanted = num_before + moments.randrange(1, 9)
        deadline = time.monotonic() + PATIENCE
        while job.poll() is None and num_parts(wide_run) < wanted and time.monotonic() < deadline:
            time.sleep(0.001)
        ranks_of_job = running(BINARY, "reference", config)
        if job.poll() is None and ranks_of_job:
            os.kill(moments.choice(ranks_of_job), signal.SIGKILL)
            num_hits += 1
        job.communicate(timeout=PATIENCE)
        if wide_run.store.exists():  # too late: the next one begins anew
            assert wide_run.store.read_bytes() == expected
            wide_run.store.unlink()
            num_before = 0
            continue
        num_now = num_parts(wide_run)
        assert num_now >= num_before, "what was durable stays"
        num_before = num_now
    assert num_hits > 0
    done = succeed("reference", wide_run.config(parallel={"data": ranks}), ranks=ranks)
    if num_before > 0:
        assert int(re.search(r"(\d+) of \d+ blocks are scored already", done.stderr).group(1)) == num_before
    assert wide_run.store.read_bytes() == expected
    assert not parts_folder(wide_run).exists()


def test_what_a_killed_job_left_of_the_store_goes(wide_run, expected):
    left = wide_run.store.with_name(f".{wide_run.store.name}.staged-1-0")
    left.write_bytes(expected[: len(expected) // 2])
    succeed("reference", wide_run.config())
    assert wide_run.store.read_bytes() == expected
    assert not left.exists()


def test_a_block_that_is_damaged_is_scored_again(wide_run, expected):
    config, job = start_scoring(wide_run, 1)
    while job.poll() is None and num_parts(wide_run) < 5:
        time.sleep(0.001)
    job.kill()
    job.communicate(timeout=PATIENCE)
    blocks = sorted(parts_folder(wide_run).glob("block_*.h5"))
    content = bytearray(blocks[0].read_bytes())
    middle = slice(len(content) // 4, 3 * len(content) // 4)  # not only what lies between the data
    content[middle] = bytes(byte ^ 1 for byte in content[middle])
    blocks[0].write_bytes(content)
    blocks[1].write_bytes(blocks[1].read_bytes()[:-40])
    blocks[2].write_bytes(blocks[3].read_bytes())  # whole, but of other pairs
    done = succeed("reference", config)
    assert f"{len(blocks) - 3} of " in done.stderr
    assert wide_run.store.read_bytes() == expected


def test_blocks_of_other_weights_are_not_taken(wide_run, expected, tmp_path):
    config, job = start_scoring(wide_run, 1)
    while job.poll() is None and num_parts(wide_run) < 5:
        time.sleep(0.001)
    job.kill()
    job.communicate(timeout=PATIENCE)
    assert num_parts(wide_run) >= 5
    done = succeed("reference", wide_run.config(reference={"dtype": "float64"}))
    assert "scored already" not in done.stderr
    assert wide_run.store.read_bytes() != expected
    wide_run.store.unlink()
    succeed("reference", wide_run.config(reference={"dtype": "float32"}))
    assert wide_run.store.read_bytes() == expected


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_second_job_on_a_store_says_who_holds_it(wide_run, ranks):
    with FileLock(wide_run.store, wide_run.store):
        left = lock_file(wide_run).read_text()
        config = wide_run.config(parallel={"data": ranks})
        refuse("reference", config, ranks=ranks, says=["reference.h5", f"is being written by process {os.getpid()} on "])
        assert not wide_run.store.exists()
    # What a killed job leaves holds nobody up.
    lock_file(wide_run).write_text(left)
    succeed("reference", config, ranks=ranks)
    assert not lock_file(wide_run).exists()


def test_a_folder_for_blocks_that_cannot_be_made_is_said_before_anything_is_scored(wide_run):
    parts_folder(wide_run).write_text("a file")
    done = collimate("reference", wide_run.config())
    assert done.returncode == 2
    assert "reference.h5.parts" in done.stderr and "scored" not in done.stderr


AT_START = [
    (1, {}, True),
    (2, {}, True),
    (2, {"model": {"recompute": "full"}}, True),
    (1, {"reference": {"placement": "offloaded"}}, False),
]


@pytest.mark.parametrize(("ranks", "changes", "shares"), AT_START, ids=str)
def test_training_scores_what_is_missing_at_its_start(wide_run, expected, ranks, changes, shares):
    reference = {"score": "at_start"} | changes.get("reference", {})
    config = wide_run.config(**changes | {"reference": reference}, parallel={"data": ranks}, train={"max_steps": 2})
    done = succeed("train", config, ranks=ranks)
    assert wide_run.store.read_bytes() == expected
    assert "wrote" in done.stderr and ("scored with the policy's weights" in done.stderr) == shares
    assert abs(step_metrics(wide_run.output)[0]["loss"] - math.log(2)) < 1e-6
    done = succeed("train", config, ranks=ranks)
    assert "has every pair already" in done.stderr and "wrote" not in done.stderr


def test_a_reference_of_its_own_scores_at_the_start_of_training(wide_run, expected, model_folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(model_folder, other)
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    with torch.no_grad():
        model.lm_head.weight *= 1.5
    model.save_pretrained(other)
    done = succeed("train", wide_run.config(model={"path": str(other)}, reference={"score": "at_start", "path": str(model_folder)},
                                            train={"max_steps": 1}))  # fmt: skip
    assert "policy's weights" not in done.stderr
    assert wide_run.store.read_bytes() == expected


OFFLOADED = [{}, {"tensor": 2}, {"pipeline": 2}, {"data": 2}]


@pytest.mark.parametrize("parallel", OFFLOADED, ids=str)
def test_offloaded_weights_give_the_same_bytes(run, parallel):
    ranks = math.prod(parallel.values())
    succeed("reference", run.config(parallel=parallel), ranks=ranks)
    expected = run.store.read_bytes()
    run.store.unlink()
    succeed("reference", run.config(parallel=parallel, reference={"placement": "offloaded"}), ranks=ranks)
    assert run.store.read_bytes() == expected


def test_a_resumed_run_scores_new_pairs_with_the_weights_that_the_run_began_with(wide_run, expected):
    eval_file = wide_run.sections["data"]["eval"]
    changes = {"reference": {"score": "at_start"}, "optimizer": {"learning_rate": 0.01}}
    succeed("train", wide_run.config(**changes, data={"eval": []}, train={"max_steps": 2}))
    succeed("train", wide_run.config(**changes, data={"eval": eval_file}, train={"max_steps": 4}))
    assert len(step_metrics(wide_run.output)) == 4
    at_end = rows_of(wide_run.store)
    wide_run.store.unlink()
    succeed("reference", wide_run.config())
    at_once = rows_of(wide_run.store)
    assert at_end.keys() == at_once.keys()
    for pair, logps in at_once.items():
        assert at_end[pair] == pytest.approx(logps, rel=1e-6)


def test_a_run_that_cannot_begin_scores_nothing(wide_run):
    wide_run.output.write_text("a file")
    refuse("train", wide_run.config(reference={"score": "at_start"}), says=str(wide_run.output))
    assert not wide_run.store.exists()
    assert not parts_folder(wide_run).exists()

"""The whole line: check, reference, train, evaluate, export, inspect, and a stop in the middle."""

import json
import math
import signal
import time

import h5py
import pytest
import torch
from checkpoints import tensor_bytes
from dpo_loop import pair_logps, read_rows
from jobs import PATIENCE, TIMING, collimate, read_metrics, start, step_metrics, succeed, without_timing
from model_folders import VOCAB_SIZE
from pairs import read_pairs, write_preferences
from transformers import AutoModelForCausalLM



def test_check_prints_what_the_run_will_be_and_warns(run):
    done = succeed("check", run.config())
    assert "# data.train: 24 pairs" in done.stdout
    assert "# steps: 6, of 4 pairs each" in done.stdout
    assert "does not exist yet" in done.stdout
    assert "fewer than 5000" in done.stderr and "optimizer.learning_rate" in done.stderr
    assert not run.output.exists() and not run.store.exists()
    # What it prints is a configuration that gives itself again.
    canonical = run.folder / "canonical.yaml"
    canonical.write_text(done.stdout)
    assert succeed("check", canonical).stdout == done.stdout.replace(str(run.folder / "run.yaml"), str(canonical))


def test_reference_scores_each_distinct_pair_once_as_transformers_does(scored_run):
    model = AutoModelForCausalLM.from_pretrained(scored_run.sections["model"]["path"])
    rows = read_rows(scored_run.train_file)
    with h5py.File(scored_run.store) as store, h5py.File(scored_run.train_file) as pairs:
        ids = [tuple(row) for row in store["pair_id"][:]]
        assert len(ids) == len(set(ids)) == 24 + 11 and ids == sorted(ids)
        chosen = dict(zip(ids, store["chosen_logps"][:]))
        wanted = [tuple(row) for row in pairs["pair_id"][:]]
    with torch.no_grad():
        for row, pair_id in zip(rows, wanted):
            assert chosen[pair_id] == pytest.approx(pair_logps(model, row)[0].item(), rel=1e-5)


def test_reference_scores_only_what_is_missing(scored_run):
    before = scored_run.store.read_bytes()
    done = succeed("reference", scored_run.config())
    assert "has every pair already" in done.stderr
    assert scored_run.store.read_bytes() == before
    # A store of the evaluation pairs alone is completed, not redone.
    whole = before
    scored_run.store.unlink()
    succeed("reference", scored_run.config(data={"train": scored_run.sections["data"]["eval"], "eval": []}))
    done = succeed("reference", scored_run.config())
    assert "wrote 24 rows" in done.stderr
    assert scored_run.store.read_bytes() == whole


def test_train_starts_at_ln_2_and_learns(scored_run):
    succeed("train", scored_run.config(train={"num_train_epochs": 4}), ranks=2)
    steps = step_metrics(scored_run.output)
    assert [line["step"] for line in steps] == list(range(1, 25))
    assert steps[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert steps[0]["rewards/margins"] == pytest.approx(0.0, abs=1e-5)
    assert steps[-1]["loss"] < steps[1]["loss"]
    names = {"rewards/chosen", "rewards/rejected", "rewards/accuracies", "logps/chosen", "logps/rejected", "grad_norm"}
    assert names | {"learning_rate", "epoch", "num_tokens"} | TIMING - {"eval_seconds", "eval_pairs_per_second"} <= set(steps[0])
    assert steps[-1]["epoch"] == pytest.approx(4.0)
    evaluations = [line for line in read_metrics(scored_run.output) if "eval_loss" in line]
    assert [line["step"] for line in evaluations] == list(range(3, 25, 3))
    record = json.loads((scored_run.output / "run.json").read_text())
    assert record["world_size"] == 2 and len(record["hosts"]) == 2


@pytest.mark.parametrize("eval_batch_size", [1, 4, 64])
def test_evaluation_counts_each_pair_once_on_any_number_of_ranks(scored_run, eval_batch_size):
    config = scored_run.config(batch={"eval_batch_size": eval_batch_size})
    results = [json.loads(succeed("evaluate", config, "--checkpoint", "initial", ranks=n).stdout) for n in (1, 3)]
    with h5py.File(scored_run.sections["data"]["eval"][0]) as file, h5py.File(scored_run.store) as store:
        logps = dict(zip(map(tuple, store["pair_id"][:]), store["chosen_logps"][:]))
        weight = file["weight"][:].astype(float)
        chosen = [logps[tuple(row)] for row in file["pair_id"][:]]
    expected = (weight * chosen).sum() / weight.sum()
    for result in results:
        assert result["eval_logps/chosen"] == pytest.approx(expected, rel=1e-6)
        assert result["eval_loss"] == pytest.approx(math.log(2), abs=1e-6)


def test_export_gives_a_folder_that_transformers_loads(scored_run, tmp_path):
    config = scored_run.config()
    succeed("train", config)
    trained = json.loads(succeed("evaluate", config).stdout)
    succeed("export", config, "--output", tmp_path / "exported", ranks=2)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "exported")
    rows = read_rows(scored_run.folder / "eval.h5")
    with torch.no_grad():
        values = [row["weight"] * pair_logps(model, row)[0].item() for row in rows]
    assert sum(values) / sum(row["weight"] for row in rows) == pytest.approx(trained["eval_logps/chosen"], rel=1e-5)
    source = scored_run.folder / "model"
    assert (tmp_path / "exported" / "tokenizer.json").read_bytes() == (
        type(source)(scored_run.sections["model"]["path"]) / "tokenizer.json"
    ).read_bytes()


def test_random_weights_from_a_config_alone_train_and_export(run, tmp_path):
    config_file = f"{run.sections['model']['path']}/config.json"
    del run.sections["model"]["path"]
    config = run.config(
        model={"config": config_file, "initialize": "random", "init_seed": 3},
        objective={"loss_type": "sft"},
        train={"num_train_epochs": 3},
    )
    succeed("train", config, ranks=2)
    steps = step_metrics(run.output)
    assert steps[0]["loss"] == pytest.approx(math.log(96), rel=0.1)
    assert steps[-1]["loss"] < steps[0]["loss"]
    succeed("export", config, "--output", tmp_path / "exported")
    AutoModelForCausalLM.from_pretrained(tmp_path / "exported")


def test_stopped_and_resumed_equals_never_stopped(scored_run, tmp_path):
    whole = scored_run.config(train={"num_train_epochs": 3}, output={"directory": str(tmp_path / "whole")})
    succeed("train", whole)
    cut = scored_run.config(train={"num_train_epochs": 3}, output={"directory": str(tmp_path / "cut")})
    process = start("train", cut)
    metrics = tmp_path / "cut" / "metrics.jsonl"
    while not (metrics.exists() and metrics.read_text().count("\n") >= 2):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    assert len(step_metrics(tmp_path / "cut")) < 18
    succeed("train", cut)
    assert without_timing(step_metrics(tmp_path / "cut")) == without_timing(step_metrics(tmp_path / "whole"))
    last = "checkpoints/step_00000018"
    assert tensor_bytes(tmp_path / "cut" / last) == tensor_bytes(tmp_path / "whole" / last)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_batch_without_weight_changes_no_loss_and_has_no_means(scored_run, model_folder, ranks):
    pairs = read_pairs(scored_run.train_file)
    for pair in pairs[1:]:
        pair.weight = 0.0
    write_preferences(scored_run.train_file, pairs, model_folder, VOCAB_SIZE)
    config = scored_run.config(optimizer={"weight_decay": 0.0}, parallel={"data": ranks})
    succeed("train", config, ranks=ranks)
    lines = read_metrics(scored_run.output)
    assert all(math.isfinite(value) for line in lines for value in line.values())
    steps = [line for line in lines if "loss" in line]
    (weighing,) = [line for line in steps if "logps/chosen" in line]
    assert len(steps) == 6 and weighing["loss"] > 0
    for line in steps:
        if line is not weighing:
            assert line["loss"] == 0 and line["grad_norm"] == 0
            assert not any(name.startswith(("rewards/", "logps/")) for name in line)
    evaluated = json.loads(succeed("evaluate", scored_run.config(data={"eval": [str(scored_run.train_file)]}, parallel={"data": ranks}), ranks=ranks).stdout)
    assert math.isfinite(evaluated["eval_logps/chosen"])


def test_lines_beyond_the_checkpoint_are_moved_aside(scored_run):
    config = scored_run.config(train={"max_steps": 6}, checkpoint={"save_steps": 4})
    succeed("train", config)
    checkpoints = scored_run.output / "checkpoints"
    undisturbed = without_timing(read_metrics(scored_run.output))
    for link in checkpoints.iterdir():
        if link.is_symlink():
            link.unlink()
    for file in (checkpoints / "step_00000006").iterdir():
        file.unlink()
    (checkpoints / "step_00000006").rmdir()
    succeed("train", config)
    assert without_timing(read_metrics(scored_run.output)) == undisturbed
    discarded = (scored_run.output / "metrics.discarded.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in discarded] == [5, 6, 6]


KINDS = {
    "train.h5": "preference file",
    "reference.h5": "reference store",
    "out": "run",
    "out/checkpoints/latest": "checkpoint",
    "out/metrics.jsonl": "metrics",
}


def test_inspect_says_what_it_is(scored_run):
    succeed("train", scored_run.config(train={"max_steps": 2}))
    for what, kind in KINDS.items():
        table = succeed("inspect", scored_run.folder / what, "--verify").stdout
        assert table.startswith(f"{kind} {scored_run.folder / what}\n") and "\n  verified " in table
        described = json.loads(succeed("inspect", scored_run.folder / what, "--verify", "--json").stdout)
        assert described["kind"] == kind and described["verified"]
        if what != "out/metrics.jsonl":
            assert list(described)[-1] == "fingerprints"
            assert table.splitlines()[-len(described["fingerprints"]) - 1] == "  fingerprints"


def test_a_foreign_file_is_no_riddle(run):
    file = run.folder / "notes.txt"
    file.write_text("hello")
    done = collimate("inspect", file)
    assert done.returncode == 2 and "notes.txt" in done.stderr

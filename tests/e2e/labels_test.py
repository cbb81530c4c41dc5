"""Preference files of which only some response tokens are labelled: the program scores, trains and evaluates on those."""

import json
import math

import h5py
import numpy as np
import pytest
import torch
from checkpoints import tensor_bytes
from dpo_loop import token_logps
from jobs import read_metrics, refuse, step_metrics, succeed, without_timing
from model_folders import VOCAB_SIZE
from pairs import label_all_tokens, label_some_tokens, pair_id, random_pairs, write_preferences
from transformers import AutoModelForCausalLM

PAIRS = random_pairs(24, VOCAB_SIZE, seed=1)
LABELLED = label_some_tokens(PAIRS, seed=3)


@pytest.fixture
def labelled_run(run, model_folder):
    """Trains on a file of which some tokens are labelled and on one of which all are."""
    some = write_preferences(run.folder / "some.h5", LABELLED, model_folder, VOCAB_SIZE)
    run.sections["data"]["train"] = [str(some), str(run.train_file)]
    return run


@pytest.fixture(scope="module")
def expected_rows(model_folder):
    """What the reference store should have of each pair, by transformers."""
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    rows = {}
    for pair in LABELLED + PAIRS:
        with torch.no_grad():
            tokens = [token_logps(model, torch.tensor(pair.prompt), torch.tensor(own)) for own in (pair.chosen, pair.rejected)]
        own = [values[torch.tensor(labels) == 1].double() for values, labels in zip(tokens, pair.response_labels, strict=True)]
        num_common = min(len(values) for values in own)
        rows[pair_id(pair)] = {
            "sums": [values.sum().item() for values in own],
            "common": [values[:num_common].sum().item() for values in own],
            "counts": [len(values) for values in own],
            "tokens": torch.cat(own).numpy(),
        }
    return rows


@pytest.mark.parametrize("parallel", [{}, {"data": 2, "tensor": 2}, {"pipeline": 2}], ids=str)
def test_scores_equal_transformers(labelled_run, expected_rows, parallel):
    reference = {"per_token": True, "block_pairs": 8}
    config = labelled_run.config(reference=reference, parallel=parallel, data={"eval": []})
    succeed("reference", config, ranks=math.prod(parallel.values()))
    with h5py.File(labelled_run.store) as store:
        columns = {name: dataset[:] for name, dataset in store.items()}
    counts = np.stack([columns["num_chosen_tokens"], columns["num_rejected_tokens"]], axis=1)
    tokens = np.split(columns["token_logps"], counts.sum(axis=1).cumsum()[:-1])
    ids = [tuple(pair) for pair in columns["pair_id"].tolist()]
    assert ids == sorted(expected_rows)
    for i, row in enumerate(expected_rows[own] for own in ids):
        assert counts[i].tolist() == row["counts"]
        assert [columns[f"{name}_logps"][i] for name in ("chosen", "rejected")] == pytest.approx(row["sums"], rel=1e-5)
        common = [columns[f"{name}_common_logps"][i] for name in ("chosen", "rejected")]
        assert common == pytest.approx(row["common"], rel=1e-5)
        assert tokens[i] == pytest.approx(row["tokens"], rel=1e-4, abs=1e-5)


def test_training_begins_at_the_reference_and_evaluation_is_of_labelled_tokens(labelled_run, expected_rows):
    some = labelled_run.folder / "some.h5"
    config = labelled_run.config(data={"eval": [str(some)]}, train={"num_train_epochs": 2})
    succeed("reference", config)
    evaluated = json.loads(succeed("evaluate", config, "--checkpoint", "initial").stdout)
    weights = [pair.weight for pair in LABELLED]
    chosen = [expected_rows[pair_id(pair)]["sums"][0] for pair in LABELLED]
    assert evaluated["eval_logps/chosen"] == pytest.approx(np.average(chosen, weights=weights), rel=1e-5)
    succeed("train", config, ranks=2)  # checks step 0 against the store
    steps = step_metrics(labelled_run.output)
    assert steps[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert len(steps) == 24


def trained(run, name, pairs, model_folder, **changes):
    """The store, metrics and weights of a run on a file of these pairs."""
    write_preferences(run.train_file, pairs, model_folder, VOCAB_SIZE, **changes)
    config = run.config(
        reference={"store": str(run.folder / f"{name}.reference.h5")},
        objective={"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.2]},
        output={"directory": str(run.folder / name)},
    )
    succeed("reference", config)
    succeed("train", config)
    output = run.folder / name
    store = (run.folder / f"{name}.reference.h5").read_bytes()
    return store, without_timing(read_metrics(output)), tensor_bytes(output / "checkpoints/latest")


def test_files_that_label_all_tokens_train_to_the_same_bits_however_they_say_so(run, model_folder):
    plain = trained(run, "plain", PAIRS, model_folder)
    assert trained(run, "version_1", PAIRS, model_folder, format_version=np.int64(1), labelled=None) == plain
    assert trained(run, "assistant", label_all_tokens(PAIRS), model_folder) == plain
    assert trained(run, "some", LABELLED, model_folder) != plain


def test_check_says_how_many_tokens_are_labelled(labelled_run):
    pairs = LABELLED + PAIRS
    num_labelled = sum(sum(labels) for pair in pairs for labels in pair.response_labels)
    num_tokens = sum(len(pair.tokens) for pair in pairs)
    assert f"{num_tokens} tokens, {num_labelled} of them labelled" in succeed("check", labelled_run.config()).stdout
    some = labelled_run.folder / "some.h5"
    labelled = json.loads(succeed("inspect", some, "--verify", "--json").stdout)["labelled_tokens"]
    assert labelled == sum(sum(labels) for pair in LABELLED for labels in pair.response_labels)


def test_wrong_labels_are_refused_before_anything_is_written(labelled_run):
    some = labelled_run.folder / "some.h5"
    with h5py.File(some, "r+") as file:
        labels = file["is_labelled"][:]
        place = len(LABELLED[0].prompt)
        labels[place] ^= 1
        file["is_labelled"][:] = labels
    for verb in ("check", "reference"):
        refuse(verb, labelled_run.config(), says=[str(some), "pair 0", "num_labelled_chosen_tokens"])
    assert not labelled_run.store.exists()

"""Losses and gradient norms over 20 optimizer steps against dpo_loop.py, on 1, 2 and 4 ranks, in both precisions, where
all response tokens are labelled and where some are."""

from dataclasses import asdict

import pytest
import torch
from dpo_loop import Settings, golden_steps
from jobs import step_metrics, succeed, write_config
from model_folders import VOCAB_SIZE, make_llama
from pairs import label_some_tokens, random_pairs, write_preferences

CASES = {
    "dpo": ("all", Settings(label_smoothing=0.05)),
    "dpo_and_sft": ("all", Settings(losses={"sigmoid": 1.0, "sft": 0.2})),
    "some_tokens": ("some", Settings(losses={"sigmoid": 1.0, "sft": 0.2})),
}
TOLERANCE = {"float32": 1e-4, "float64": 1e-9}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    model = make_llama(folder / "model", tie_word_embeddings=True)
    # 52 pairs in batches of 8: the last batch of an epoch is partial.
    pairs = random_pairs(52, VOCAB_SIZE, seed=5)
    files = {
        name: write_preferences(folder / f"{name}.h5", labelled, model, VOCAB_SIZE)
        for name, labelled in (("all", pairs), ("some", label_some_tokens(pairs, seed=6)))
    }
    return model, files


@pytest.fixture(scope="module")
def golden(inputs):
    known = {}

    def steps(case, dtype):
        if (case, dtype) not in known:
            model, files = inputs
            labelled, settings = CASES[case]
            known[case, dtype] = golden_steps(model, files[labelled], getattr(torch, dtype), settings)
        return known[case, dtype]

    return steps


def run_sections(model, pairs, settings: Settings, dtype, folder, **batch):
    values = asdict(settings)
    return {
        "model": {"path": str(model), "dtype": dtype},
        "reference": {"store": str(folder / "reference.h5")},
        "data": {"train": [str(pairs)], "shuffle": False},
        "batch": {"global_batch_size": values["batch_size"], "microbatch_tokens": 150} | batch,
        "objective": {
            "loss_type": list(values["losses"]),
            "loss_weights": list(values["losses"].values()),
            "beta": values["beta"],
            "label_smoothing": values["label_smoothing"],
        },
        "optimizer": {name: values[name] for name in ("learning_rate", "weight_decay", "max_grad_norm", "warmup_steps")},
        "train": {"max_steps": values["num_steps"]},
        "output": {"directory": str(folder / "out")},
    }


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_steps_equal_the_independent_loop(inputs, golden, tmp_path, case, dtype, ranks):
    sharing = ranks != 2
    model, files = inputs
    labelled, settings = CASES[case]
    sections = run_sections(model, files[labelled], settings, dtype, tmp_path, prefix_sharing=sharing)
    config = write_config(tmp_path / "run.yaml", sections)
    succeed("reference", config, ranks=ranks)
    succeed("train", config, ranks=ranks)
    steps = step_metrics(tmp_path / "out")
    expected = golden(case, dtype)
    assert len(steps) == len(expected) == 20
    assert max(step["grad_norm"] for step in steps) > 1.0, "the clip is never put to the test"
    for step, golden_step in zip(steps, expected):
        assert step["loss"] == pytest.approx(golden_step["loss"], rel=TOLERANCE[dtype]), step["step"]
        assert step["grad_norm"] == pytest.approx(golden_step["grad_norm"], rel=TOLERANCE[dtype]), step["step"]

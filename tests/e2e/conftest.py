"""A tiny complete run that every test can spoil in one place."""

import copy
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from jobs import succeed, write_config
from model_folders import VOCAB_SIZE, make_llama
from pairs import random_pairs, write_preferences


@dataclass
class Run:
    """Inputs on disk and the sections of the configuration that uses them."""

    folder: Path
    sections: dict
    is_trained: bool = False  # the test itself has trained into the output folder

    @property
    def output(self) -> Path:
        return Path(self.sections["output"]["directory"])

    @property
    def store(self) -> Path:
        return Path(self.sections["reference"]["store"])

    @property
    def train_file(self) -> Path:
        return Path(self.sections["data"]["train"][0])

    def config(self, **changes) -> Path:
        """Writes the configuration with some sections' keys changed."""
        sections = copy.deepcopy(self.sections)
        for section, values in changes.items():
            sections.setdefault(section, {}).update(values)
        return write_config(self.folder / "run.yaml", sections)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    return make_llama(tmp_path_factory.mktemp("model"))


@pytest.fixture
def run(tmp_path, model_folder):
    train = write_preferences(tmp_path / "train.h5", random_pairs(24, VOCAB_SIZE, seed=1), model_folder, VOCAB_SIZE)
    held_out = write_preferences(tmp_path / "eval.h5", random_pairs(11, VOCAB_SIZE, seed=2), model_folder, VOCAB_SIZE)
    return Run(
        tmp_path,
        {
            "model": {"path": str(model_folder)},
            "reference": {"store": str(tmp_path / "reference.h5")},
            "data": {"train": [str(train)], "eval": [str(held_out)]},
            "batch": {"global_batch_size": 4, "eval_batch_size": 4, "microbatch_tokens": 128},
            "optimizer": {"learning_rate": 1e-3},
            "train": {"eval_steps": 3},
            "checkpoint": {"save_steps": 2},
            "output": {"directory": str(tmp_path / "out")},
        },
    )


@pytest.fixture(scope="session")
def score(tmp_path_factory) -> Callable[[Run], None]:
    """Gives a run its reference store. Runs of the same model, pairs and way of scoring are scored once and copied from then on."""
    kept = tmp_path_factory.mktemp("stores")

    def place(run):
        reference = {key: value for key, value in run.sections["reference"].items() if key != "store"}
        digest = hashlib.sha256(json.dumps([run.sections["model"], reference]).encode())
        for file in run.sections["data"]["train"] + run.sections["data"]["eval"]:
            digest.update(Path(file).read_bytes())
        store = kept / f"{digest.hexdigest()}.h5"
        if not store.exists():
            succeed("reference", run.config())
            shutil.copy(run.store, store)
        shutil.copy(store, run.store)

    return place


@pytest.fixture
def scored_run(run, score):
    score(run)
    return run

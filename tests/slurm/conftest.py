"""One cluster for all tests of a file, and a tiny run that needs nothing but what it writes itself."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from jobs import write_config
from mini_cluster import MiniCluster
from model_folders import VOCAB_SIZE, make_llama
from pairs import random_pairs, write_preferences


@pytest.fixture(scope="module")
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="mini"))  # pytest's own are too long for sockets
    with MiniCluster(folder) as running:
        yield running
    assert processes_of(folder) == []
    shutil.rmtree(folder)


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes that name the folder in their arguments or in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        try:
            text = (process / "cmdline").read_bytes() + b"\0" + (process / "environ").read_bytes()
        except OSError:
            continue  # it ended meanwhile, or is somebody else's
        if str(folder).encode() in text:
            found.append(text.replace(b"\0", b" ").decode()[:200])
    return found


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """The sections of a configuration, but for its output: a model with random weights that learns the chosen responses."""
    folder = tmp_path_factory.mktemp("inputs")
    make_llama(folder / "model")
    data = write_preferences(folder / "train.h5", random_pairs(24, VOCAB_SIZE, seed=1), folder / "model", VOCAB_SIZE)
    return {
        "model": {"path": str(folder / "model")},
        "data": {"train": [str(data)]},
        "objective": {"loss_type": "sft"},
        "batch": {"global_batch_size": 4, "microbatch_tokens": 128},
        "optimizer": {"learning_rate": 1e-3},
        "train": {"max_steps": 4},
        "checkpoint": {"save_steps": 2},
    }


@pytest.fixture
def write_run(inputs, tmp_path):
    """write_run(name, section={...}): a configuration of its own output folder beside it."""

    def write(name: str = "run", **changes) -> tuple[Path, Path]:
        output = tmp_path / f"{name} out"
        sections = inputs | {"output": {"directory": str(output)}}
        sections |= {section: sections.get(section, {}) | values for section, values in changes.items()}
        return write_config(tmp_path / f"{name}.yaml", sections), output

    return write

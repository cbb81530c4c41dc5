"""One rank fails in the middle of a step: all ranks end, with exit code 1 and one message that says who, where and why."""

import os
import subprocess
from pathlib import Path

import pytest
from jobs import PATIENCE, REPOSITORY, write_config

PROBE = Path(os.environ["COLLIMATE_BUILD"]) / "tests" / "e2e" / "failing_step_probe"
LAYOUTS = [
    {"tensor": 2},
    {"pipeline": 2, "schedule": "zb_h1"},
    {"data": 2, "pipeline": 2},
]


def run_probe(config: Path, place: str, failing_rank: int, ranks: int) -> subprocess.CompletedProcess:
    launcher = [REPOSITORY / "launch" / "mpirun", "-n", str(ranks), "--timeout", str(PATIENCE)]  # a job that hangs ends with another exit code
    command = [*launcher, PROBE, config, place, str(failing_rank)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


@pytest.fixture
def config_of(tmp_path):
    def write(parallel):
        return write_config(
            tmp_path / "run.yaml",
            {
                "model": {"path": "none"},
                "reference": {"store": "none.h5"},
                "data": {"train": "none.h5"},
                "output": {"directory": str(tmp_path / "out")},
                "parallel": parallel,
            },
        )

    return write


@pytest.mark.parametrize("place", ["forward", "backward", "hook"])
@pytest.mark.parametrize("parallel", LAYOUTS, ids=lambda layout: "_".join(f"{k}{v}" for k, v in layout.items()))
def test_a_rank_that_fails_ends_all_of_them_with_one_message(config_of, parallel, place):
    ranks = parallel.get("tensor", 1) * parallel.get("pipeline", 1) * parallel.get("data", 1)
    for failing_rank in (0, ranks - 1):
        done = run_probe(config_of(parallel), place, failing_rank, ranks)
        assert done.returncode == 1, done.stderr
        # One message, on the stream of rank 0: no other rank's tag stands before it.
        assert done.stderr.count("error:") == 1, done.stderr
        assert f"collimate: error: rank {failing_rank} (" in done.stderr, done.stderr
        if place == "hook":
            assert "a hook went wrong" in done.stderr, done.stderr


def test_without_a_fault_the_probe_ends_well(config_of):
    done = run_probe(config_of(LAYOUTS[0]), "forward", 99, 2)
    assert done.returncode == 0, done.stderr

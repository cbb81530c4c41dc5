"""A failed rank ends the job, with one message and its exit code, whatever the other ranks wait for."""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
from jobs import PATIENCE, REPOSITORY, running

PROBE = Path(os.environ["COLLIMATE_BUILD"]) / "tests/mpi/failure_probe"
WORDS = {1: "loss of step 7 is not finite", 2: "train.h5: pair 3 is broken"}


def run_probe(ranks: int, *arguments: str | int) -> subprocess.CompletedProcess[str]:
    """The job's end; one that hangs is ended by the launcher, with another exit code."""
    command = [REPOSITORY / "launch/mpirun", "-n", ranks, "--timeout", PATIENCE, PROBE, *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def check_end(done: subprocess.CompletedProcess[str], code: int) -> None:
    assert done.returncode == code, done.stderr
    assert done.stderr.count("error:") == 1, done.stderr
    assert done.stderr.strip().count("\n") == 0, done.stderr
    assert WORDS[code] in done.stderr
    assert running(PROBE) == []


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("who", ["first", "last"])
@pytest.mark.parametrize("code", [1, 2])
def test_a_rank_fails_while_the_others_wait_in_a_barrier(ranks: int, who: str, code: int):
    failing = 0 if who == "first" else ranks - 1
    done = run_probe(ranks, failing, "now", code)
    check_end(done, code)
    assert f"collimate: error: rank {failing} ({socket.gethostname()}): {WORDS[code]}" in done.stderr


@pytest.mark.parametrize("ranks", [2, 4])
def test_all_ranks_fail_at_once_and_one_is_heard(ranks: int):
    done = run_probe(ranks, "all", "now", 1)
    check_end(done, 1)


def test_a_rank_that_fails_when_the_others_are_done_is_still_heard():
    done = run_probe(3, 2, "late", 1)
    check_end(done, 1)
    assert "rank 2 (" in done.stderr


def test_a_rank_that_nobody_ends_ends_itself_and_with_it_the_job():
    begin = time.monotonic()
    check_end(run_probe(2, 1, "unaided", 1), 1)
    assert time.monotonic() - begin > 5, "the failing rank waits before it ends itself"


def test_a_world_of_one_says_no_rank():
    done = run_probe(1, 0, "now", 2)
    check_end(done, 2)
    assert done.stderr == f"collimate: error: {WORDS[2]}\n"


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_a_job_without_a_failure_ends_silently(ranks: int):
    done = run_probe(ranks, "none", "now", 1)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert running(PROBE) == []

"""A failed rank ends the job, with one message and its exit code, whatever the other ranks wait for."""

import os
import random
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest
from jobs import PATIENCE, REPOSITORY, running

PROBE = Path(os.environ["COLLIMATE_BUILD"]) / "tests/mpi/failure_probe"
# Of c10d's TCPStore, whose port this is not: what its clients say first, and their words for set, delete and list.
TCP_STORE_HELLO = struct.pack("<BI", 0, 0x3C85F7CE)
TCP_STORE_SET, TCP_STORE_DELETE, TCP_STORE_LIST = 1, 8, 17
KEYS = ["outcome", "closed.1", "left.1", "all closed", "beat.0", "beat.1", "notice.stop"]
MANY_VISITS = 200
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


def open_files(process: int) -> list[str]:
    try:
        return [os.readlink(link) for link in Path(f"/proc/{process}/fd").iterdir()]
    except OSError:
        return []  # it has ended, or closed one, meanwhile


def loopback_ports(program: Path) -> list[int]:
    """Where processes of `program` listen for this machine alone: the store of a job."""
    sockets = {name for process in running(program) for name in open_files(process)}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [line for line in lines if line[3] == "0A" and line[1].startswith("0100007F:")]
    return [int(line[1].split(":")[1], 16) for line in listening if f"socket:[{line[9]}]" in sockets]


def stranger_words(dice: random.Random) -> bytes:
    """Nothing, anything, or what a client of c10d's TCPStore says that means the job harm."""
    if dice.random() < 0.2:
        return b""
    if dice.random() < 0.5:
        return dice.randbytes(dice.randrange(500))
    words = TCP_STORE_HELLO
    for key in KEYS:
        name = struct.pack("<Q", len(key)) + key.encode()
        value = dice.choice([b"0\nall is well", b"1\nall is lost", b"success", b"99", b"\n"])
        words += struct.pack("<B", TCP_STORE_SET) + name + struct.pack("<Q", len(value)) + value
        words += struct.pack("<B", TCP_STORE_DELETE) + name
    return words + struct.pack("<B", TCP_STORE_LIST)


class Strangers(threading.Thread):
    """They come to the job's store while `job` runs; every tenth stays and says no more. Many make the file `enough`."""

    def __init__(self, job: subprocess.Popen, enough: Path):
        super().__init__()
        self.job = job
        self.enough = enough
        self.visits = 0

    def run(self):
        dice = random.Random(3)
        staying = []
        while self.job.poll() is None:
            for port in loopback_ports(PROBE):
                for _ in range(20):
                    staying += self.visit(port, dice)
            if self.visits > MANY_VISITS:
                self.enough.touch()

    def visit(self, port: int, dice: random.Random) -> list[socket.socket]:
        try:
            visitor = socket.create_connection(("127.0.0.1", port), timeout=1)
            visitor.sendall(stranger_words(dice))
        except OSError:  # closed meanwhile, or the job is over
            return []
        self.visits += 1
        if self.visits % 10 == 0:
            return [visitor]
        visitor.close()
        return []


@pytest.mark.parametrize(("who", "code"), [("none", 0), (0, 1), (2, 2)])
def test_strangers_at_the_store_change_neither_outcome_nor_exit_code(who: str | int, code: int, tmp_path: Path):
    enough = tmp_path / "enough"
    command = [REPOSITORY / "launch/mpirun", "-n", 3, "--timeout", PATIENCE, PROBE, who, "visited", code, enough]
    job = subprocess.Popen([str(part) for part in command], stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    strangers = Strangers(job, enough)
    strangers.start()
    stderr = job.communicate(timeout=PATIENCE + 10)[1]
    strangers.join()
    assert strangers.visits > MANY_VISITS
    assert job.returncode == code, stderr
    warnings = [line for line in stderr.splitlines() if "warning:" in line]
    assert len(warnings) == 1 and "127.0.0.1" in warnings[0] and "did not show that it belongs to the job" in warnings[0]
    errors = [line for line in stderr.splitlines() if "error:" in line]
    assert errors == ([] if code == 0 else [f"collimate: error: rank {who} ({socket.gethostname()}): {WORDS[code]}"])

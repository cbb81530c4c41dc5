"""A job that hangs ends by itself, says who hangs where, and leaves nothing behind."""

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from jobs import BINARY, PATIENCE, REPOSITORY, command_of, environment_of, running, step_metrics, succeed

PROBE = Path(os.environ["COLLIMATE_BUILD"]) / "tests/e2e/watchdog_probe"
LIMIT = 3


def segments_of(processes: list[int]) -> set[str]:
    """The shared memory that these processes have mapped by name."""
    maps = "".join(Path(f"/proc/{process}/maps").read_text() for process in processes)
    return set(re.findall(r"/dev/shm/(\S+)", maps))


class Job:
    """One job in the background, and what it must have done when it has ended."""

    def __init__(self, command: list, program: Path = BINARY):
        self.segments: set[str] = set()
        self.program = program
        self.word = str(command[-1])
        self.process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment_of(1)
        )

    def ranks(self) -> list[int]:
        """Its processes, by rank."""
        return sorted(running(self.program, self.word), key=rank_of)

    def end(self, code: int | None) -> str:
        """Waits for its end; what it said. No process is left of it, and nothing of the shared memory that it had."""
        try:
            error = self.process.communicate(timeout=PATIENCE)[1]
        except subprocess.TimeoutExpired:
            for rank in self.ranks():
                os.kill(rank, signal.SIGKILL)
            raise
        assert self.process.returncode == code if code is not None else self.process.returncode != 0, error
        assert running(self.program, self.word) == []
        for name in self.segments:
            assert not (Path("/dev/shm") / name).exists(), name
        return error


def rank_of(process: int) -> int:
    entries = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    return next((int(entry.split(b"=")[1]) for entry in entries if entry.startswith(b"OMPI_COMM_WORLD_RANK=")), 0)


def started(run, ranks: int, **changes) -> Job:
    """`collimate train` that makes steps, and has told so."""
    changes.setdefault("train", {"num_train_epochs": 100000})
    config = run.config(runtime={"watchdog_seconds": LIMIT}, checkpoint={"save_steps": 100000}, data={"eval": []}, **changes)
    job = Job(command_of("train", config, ranks=ranks))
    metrics = run.output / "metrics.jsonl"
    wait_for(job, lambda: metrics.exists() and metrics.read_text().count("\n") > 3)
    time.sleep(1)
    return job


def wait_for(job: Job, condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert job.process.poll() is None and time.monotonic() < deadline, job.process.stderr.read()
        time.sleep(0.02)


def stacks(folder: Path, rank: int) -> str:
    return (folder / "failures" / f"rank_{rank:05}.txt").read_text()


def check_report(error: str, reason: str, ranks: int) -> None:
    assert error.count("error:") == 1, error
    assert re.search(f"error: the job is stuck: {reason}", error), error
    for rank in range(ranks):
        assert re.search(rf"\n  rank {rank} \(.*\): .* ago", error), error


def probe(run, what: str, ranks: int) -> Job:
    config = run.config(runtime={"watchdog_seconds": LIMIT})
    return Job([REPOSITORY / "launch/mpirun", "-n", ranks, "--timeout", PATIENCE, PROBE, config, what], PROBE)


@pytest.fixture
def trained_run(scored_run):
    scored_run.sections["optimizer"] |= {"lr_scheduler_type": "constant", "warmup_steps": 0}
    return scored_run


@pytest.mark.parametrize("stopped", [0, 1])
def test_a_stopped_rank_ends_the_job(trained_run, stopped):
    job = started(trained_run, 2)
    job.segments = segments_of(job.ranks())
    assert job.segments
    os.kill(job.ranks()[stopped], signal.SIGSTOP)
    error = job.end(1)
    # Its silence, or that it or all make no progress: what is noticed first is chance.
    check_report(error, rf"(rank {stopped} \(.*\) (has not been heard of|makes no progress)|every rank waits for others).* in step \d+", 2)
    text = stacks(trained_run.output, 1 - stopped)
    main = text.split("\nthread ")[1]
    assert "collimate::TrainStep::run(" in main and "\n  main (collimate+" in main, text
    # The folder still is a run that goes on.
    assert "stacks" in error
    succeed("inspect", trained_run.output)
    done = succeed("train", trained_run.config(train={"max_steps": 2}), ranks=2)
    assert len(step_metrics(trained_run.output)) == 2, done.stderr


def test_ranks_that_wait_for_each_other_end(run):
    error = probe(run, "crossed", 3).end(1)
    check_report(error, "every rank waits for others, and none makes progress", 3)
    assert "barrier of group 'world'" in error and "barrier of group 'data'" in error
    for rank in range(3):
        assert "collimate::Communicator::barrier()" in stacks(run.output, rank)
    succeed("inspect", run.output)


@pytest.mark.parametrize("what", ["working", "leaving"])
def test_a_rank_that_works_at_nothing_is_named_while_others_wait_for_it(run, what):
    error = probe(run, what, 2).end(1)
    check_report(error, r"rank 1 \(.*\) makes no progress since .*: counting to infinity", 2)
    assert "work_for_ever" in stacks(run.output, 1)
    # Nothing but the stacks: another run may have the folder.
    succeed("reference", run.config())
    succeed("train", run.config(train={"max_steps": 1}))


def test_a_job_without_a_fault_ends_silently(run):
    assert probe(run, "nothing", 3).end(0) == ""
    assert not run.output.exists()


@contextlib.contextmanager
def unanswered(file: Path):
    """Who opens the file waits in the kernel, as on a file server that does not answer: for its lease (fcntl(2)), 45 s."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    holder = os.open(file, os.O_RDWR)
    fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    yield
    os.close(holder)
    signal.signal(signal.SIGIO, before)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_file_that_never_answers(run, ranks):
    config = run.config(runtime={"watchdog_seconds": LIMIT})
    with unanswered(run.train_file):
        error = Job(command_of("reference", config, ranks=ranks)).end(1)
    check_report(error, r"rank . \(.*\) makes no progress since .*, before the first step: opening the data files", ranks)
    assert "PreferenceDataset" in stacks(run.output, 0)


def test_a_start_that_hangs(run, tmp_path):
    config = tmp_path / "fifo.yaml"
    os.mkfifo(config)
    limit = f"runtime.watchdog_seconds={LIMIT}"
    error = Job(command_of("train", config, "--set", limit, ranks=2)).end(1)
    assert "while the job starts or ends: reading the configuration" in error, error


def test_mpi_that_does_not_start(run):
    # The second process is none of MPI: the first one waits for it in MPI_Init.
    config = run.config()
    limit = ["--set", f"runtime.watchdog_seconds={LIMIT}"]
    launcher = [REPOSITORY / "launch/mpirun", "-n", 1, BINARY, "train", config, *limit]
    error = Job([*launcher, ":", "-n", 1, "sleep", 300]).end(1)
    assert "while the job starts or ends: starting MPI" in error, error


def test_a_job_that_was_suspended_goes_on(trained_run):
    job = started(trained_run, 2, train={"max_steps": 150, "num_train_epochs": 100})
    for rank in job.ranks():
        os.kill(rank, signal.SIGSTOP)
    time.sleep(2 * LIMIT)
    for rank in job.ranks():
        os.kill(rank, signal.SIGCONT)
    error = job.end(0)
    assert "error" not in error
    assert len(step_metrics(trained_run.output)) == 150
    assert not (trained_run.output / "failures").exists()


def test_a_killed_rank_leaves_no_other(trained_run):
    job = started(trained_run, 2)
    job.segments = segments_of(job.ranks())
    os.kill(job.ranks()[1], signal.SIGKILL)
    job.end(None)

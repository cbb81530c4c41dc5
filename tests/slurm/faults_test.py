"""Faults of jobs on Slurm: each job ends by itself, soon, with words that say what is wrong, and leaves no rank behind."""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from jobs import BINARY, REPOSITORY, running

SUBMIT = REPOSITORY / "launch/submit"
# Beside other tests, on two cores, four ranks may be as long as some seconds without a step.
LIMIT = 8


class FaultyJob:
    """Four ranks on four nodes that train until something happens to them."""

    def __init__(self, cluster, config: Path, output: Path, program: Path = BINARY):
        self.cluster = cluster
        self.config = config
        self.output = output
        done = cluster.run(SUBMIT, config, "--nodes=4", "--tasks-per-node=1", f"--program={program}")
        assert done.returncode == 0, done.stderr
        self.id = done.stdout.split()[1]
        self.log_file = Path(f"{output}.slurm/{config.stem}-{self.id}.log")

    def wait_for_steps(self) -> list[int]:
        """The processes of its ranks, by rank."""
        metrics = self.output / "metrics.jsonl"
        self.cluster.wait_until(lambda: metrics.exists() and metrics.read_text().count("\n") > 3 or self.is_over(), "it makes steps")
        ranks = running(BINARY, self.config)
        assert len(ranks) == 4, self.log()
        return sorted(ranks, key=lambda process: int(environment_of(process)["SLURM_PROCID"]))

    def is_over(self) -> bool:
        return self.cluster.job(self.id)["JobState"] not in ("PENDING", "RUNNING", "COMPLETING")

    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def end(self, states: tuple[str, ...] = ("FAILED",)) -> str:
        """The job's log, once it has ended as it must."""
        record = self.cluster.wait_for_end(self.id)
        assert record["JobState"] in states, f"{record}\n{self.log()}"
        assert record["ExitCode"] != "0:0"
        self.cluster.wait_until(lambda: not running(BINARY, self.config), "no rank is left")
        return self.log()


def environment_of(process: int) -> dict[str, str]:
    entries = Path(f"/proc/{process}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def parent_of(process: int) -> int:
    return int(re.search(r"PPid:\s*(\d+)", Path(f"/proc/{process}/status").read_text())[1])


def check_report(log: str, rank: int) -> None:
    """The watchdog's, with what `rank` did last. Its silence, or that it or all make no progress: what is noticed first is chance."""
    assert re.search(r"collimate: error: the job is stuck: .*(has not been heard of|makes no progress|none makes progress)", log), log
    assert re.search(rf"\n  rank {rank} \(.+\): .+ ago", log), log


@pytest.fixture
def faulty(cluster, write_run):
    def start(name: str, program: Path = BINARY, **changes) -> FaultyJob:
        changes = {"train": {"max_steps": 1000000, "num_train_epochs": 1000000}, "runtime": {"watchdog_seconds": LIMIT}, "checkpoint": {"save_steps": 1000000}} | changes
        config, output = write_run(name, **changes)
        return FaultyJob(cluster, config, output, program)

    return start


def test_a_rank_that_is_killed(faulty):
    job = faulty("killed")
    os.kill(job.wait_for_steps()[2], signal.SIGKILL)
    job.end()


def test_a_rank_that_hangs(faulty):
    job = faulty("stopped")
    os.kill(job.wait_for_steps()[2], signal.SIGSTOP)
    log = job.end()
    check_report(log, 2)
    assert "exit code 1" in log, log
    assert (job.output / "failures/rank_00000.txt").exists() and not (job.output / "failures/rank_00002.txt").exists()


def test_an_output_folder_that_goes(faulty):
    job = faulty("folderless", checkpoint={"save_steps": 50})
    job.wait_for_steps()
    shutil.rmtree(job.output)
    log = job.end()
    assert f"{job.output}: the run's folder has gone" in log and "exit code 1" in log, log


def test_a_rank_that_cannot_read_its_data(faulty, inputs, tmp_path):
    # On the node of rank 2 the file is not what it is elsewhere.
    program = tmp_path / "program"
    data = inputs["data"]["train"][0]
    program.write_text(f'#!/bin/bash\n[ "$SLURM_PROCID" = 2 ] || exec {BINARY} "$@"\nexec unshare -m bash -c \'mount --bind /dev/null {data} && exec {BINARY} "$@"\' - "$@"\n')
    program.chmod(0o755)
    log = faulty("blind", program).end()
    assert f"error: {data}" in log or f"error: data.train.0: {data}" in log, log
    assert "exit code 2" in log, log


def test_a_node_that_is_lost(faulty, cluster):
    # Its slurmd, its slurmstepd and its tasks go together, as when a machine loses its power. The last test: it stays lost.
    job = faulty("lost")
    task = job.wait_for_steps()[3]
    step = parent_of(task)
    node = environment_of(task)["SLURMD_NODENAME"]
    daemon = int((cluster.folder / f"{node}.pid").read_text())
    for process in (daemon, step, task):
        os.kill(process, signal.SIGKILL)
    log = job.end(("FAILED", "NODE_FAIL"))
    if cluster.job(job.id)["JobState"] == "FAILED":  # else Slurm has noticed first
        check_report(log, 3)

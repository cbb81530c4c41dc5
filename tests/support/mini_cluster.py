"""A Slurm cluster for tests (cluster/mini): started once a test session, with deadlines on whatever is waited for."""

import os
import subprocess
import sys
import time
from pathlib import Path

from jobs import PATIENCE, REPOSITORY

MINI = REPOSITORY / "cluster/mini"
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED"}


class MiniCluster:
    """`folder` must be short (see cluster/mini) and the cluster's alone. A grace time below 10 s is too short for a save."""

    def __init__(self, folder: Path, nodes: int = 4, grace: int = 10):
        self.folder = folder
        self.nodes = nodes
        self.grace = grace

    def __enter__(self):
        # Should the tests themselves be killed, the cluster ends with them.
        options = [f"--nodes={self.nodes}", f"--grace={self.grace}", "--kill-wait=5", f"--until-exit-of={os.getpid()}"]
        done = self.mini("start", *options)
        assert done.returncode == 0, done.stderr
        exports = [line.removeprefix("export ").partition("=") for line in self.mini("env").stdout.splitlines()]
        self.variables = {name: value.strip("'") for name, _, value in exports}
        return self

    def __exit__(self, *_):
        done = self.mini("stop")
        assert done.returncode == 0, done.stderr

    def mini(self, command: str, *options: str) -> subprocess.CompletedProcess:
        line = [sys.executable, MINI, command, "--folder", self.folder, *options]
        return subprocess.run([str(part) for part in line], capture_output=True, text=True, timeout=PATIENCE)

    def run(self, *command: object, **options) -> subprocess.CompletedProcess:
        """A command with this cluster's Slurm; the caller looks at the exit code."""
        env = os.environ | self.variables | options.pop("env", {})
        return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=PATIENCE, env=env, **options)

    def submit(self, *options: object) -> str:
        done = self.run("sbatch", "--parsable", *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def job(self, job: str) -> dict[str, str]:
        """What the controller knows of a job: JobState, Restarts, ExitCode, ..."""
        text = self.run("scontrol", "--oneliner", "show", "job", job).stdout
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    def wait_until(self, condition, what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}\n{self.run('squeue').stdout}"
            time.sleep(0.1)

    def wait_for_state(self, job: str, *states: str) -> dict[str, str]:
        self.wait_until(lambda: self.job(job).get("JobState") in states, f"job {job} {' or '.join(states)}")
        return self.job(job)

    def wait_for_end(self, job: str) -> dict[str, str]:
        return self.wait_for_state(job, *ENDED)

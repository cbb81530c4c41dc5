"""`python -m demo`: exit codes and last words."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from demo.__main__ import STEPS
from jobs import PATIENCE

TOOLS = Path(__file__).resolve().parents[2] / "tools"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(TOOLS)}
COMMAND = [sys.executable, "-m", "demo"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], text=True, capture_output=True, env=ENVIRONMENT)


def test_every_step_explains_itself():
    for step in STEPS:
        done = run(step, "--help")
        assert done.returncode == 0, done.stderr
        assert "--output" in done.stdout


def test_an_unknown_step_is_refused():
    done = run("dance")
    assert done.returncode == 2
    assert "judge" in done.stdout


def test_wrong_input_is_one_line_and_exit_code_2(tmp_path: Path):
    done = run("judge", "--samples", str(tmp_path / "missing.jsonl"), "--output", str(tmp_path / "verdict.json"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"demo judge: {tmp_path}/missing.jsonl: No such file")
    assert done.stderr.count("\n") == 1


def test_ctrl_c_leaves_no_traceback_and_no_file(tmp_path: Path):
    os.mkfifo(tmp_path / "samples.jsonl")  # reading waits for a writer that never comes
    files = ["--samples", str(tmp_path / "samples.jsonl"), "--output", str(tmp_path / "verdict.json")]
    process = subprocess.Popen([*COMMAND, "judge", *files], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    writer = open_when_read(tmp_path / "samples.jsonl")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    os.close(writer)
    assert process.returncode == 130
    assert errors == "demo judge: interrupted, nothing written\n"
    assert [file.name for file in tmp_path.iterdir()] == ["samples.jsonl"]


def open_when_read(fifo: Path) -> int:
    """The writing end of the pipe: without a reader it cannot be opened."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the step never read its input")

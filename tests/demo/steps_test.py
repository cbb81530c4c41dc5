"""launch/steps.sh: what is done already is not done again, what depends on a change is."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from jobs import PATIENCE

STEPS = Path(__file__).resolve().parents[2] / "launch/steps.sh"

SCRIPT = f"""#!/usr/bin/env bash
set -euo pipefail
stamps=stamps
mkdir -p stamps
. {STEPS}
copy() {{ cat "$1" >"$2"; }}
train() {{
  [ ! -e run/checkpoints ] || echo resumed
  mkdir -p run/checkpoints
  [ ! -e obstacle ] || {{ touch ready && sleep 30 && false || return 130; }}
  cp data run/checkpoints/weights
}}
step first "source" "data" copy source data
step second "data config" "run" train
step third "run/checkpoints" "result" copy run/checkpoints/weights result
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    script = tmp_path / "line"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    (tmp_path / "source").write_text("one")
    (tmp_path / "config").write_text("a")
    return tmp_path


def run(work: Path) -> list[str]:
    """The steps that were really run."""
    done = subprocess.run([work / "line"], cwd=work, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return [line.split()[-1] for line in done.stdout.splitlines() if "already" not in line]


def test_a_second_run_does_nothing(work: Path):
    assert run(work) == ["first", "second", "third"]
    assert run(work) == []


def test_a_changed_input_redoes_what_depends_on_it(work: Path):
    run(work)
    (work / "source").write_text("two")
    assert run(work) == ["first", "second", "third"]
    assert (work / "result").read_text() == "two"


def test_what_comes_out_equal_redoes_nothing_further(work: Path):
    run(work)
    (work / "config").write_text("b")
    assert run(work) == ["second"]


def test_a_touched_file_of_the_same_content_is_no_change(work: Path):
    run(work)
    (work / "source").write_text("one")
    assert run(work) == []


def test_a_changed_command_redoes_its_step(work: Path):
    run(work)
    (work / "line").write_text(SCRIPT.replace('"data" copy source data', '"data" copy ./source data'))
    assert run(work) == ["first"]


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_text("damaged")])
def test_a_lost_or_damaged_result_is_made_again(work: Path, damage):
    run(work)
    damage(work / "result")
    assert run(work) == ["third"]


def test_a_failed_step_ends_the_script_with_its_exit_code(work: Path):
    (work / "line").write_text(SCRIPT.replace("copy source data", "copy missing data"))
    done = subprocess.run([work / "line"], cwd=work, text=True, capture_output=True)
    assert done.returncode == 1
    assert "error: first failed with exit code 1" in done.stderr
    assert "second" not in done.stdout


def interrupt(work: Path) -> subprocess.CompletedProcess[str]:
    """Ctrl-C while the second step runs: the whole foreground group gets it."""
    (work / "obstacle").touch()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([work / "line"], cwd=work, text=True, process_group=0, **pipes)
    deadline = time.monotonic() + PATIENCE
    while not (work / "ready").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE)
    (work / "obstacle").unlink()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def test_ctrl_c_ends_with_130_and_the_next_run_resumes(work: Path):
    stopped = interrupt(work)
    assert stopped.returncode == 128 + signal.SIGINT
    assert "goes on from here" in stopped.stderr and "third" not in stopped.stdout
    assert run(work) == ["second", "resumed", "third"]


def test_an_interrupted_run_of_other_input_is_not_resumed(work: Path):
    interrupt(work)
    (work / "config").write_text("b")
    assert run(work) == ["second", "third"]

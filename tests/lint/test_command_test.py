"""launch/test itself, with stand-ins for what it calls."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from source_tree import ROOT

STAND_IN = """#!/bin/bash
echo "${{0##*/}} $*" >>"{folder}/calls"
case "${{0##*/}} $*" in "{failing}"*) exit 8 ;; esac
"""


@pytest.fixture
def run_tests(tmp_path: Path):
    def run(failing: str, *options: str) -> tuple[int, str, list[str]]:
        """Exit code, what was said, and all calls, when the one that begins with these words fails."""
        for name in ("launch/setup", "bin/cmake", "bin/ctest"):
            program = tmp_path / name
            program.parent.mkdir(exist_ok=True)
            program.write_text(STAND_IN.format(folder=tmp_path, failing=failing))
            program.chmod(0o755)
        shutil.copy(ROOT / "launch/test", tmp_path / "launch")
        environment = os.environ | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
        done = subprocess.run([tmp_path / "launch/test", *options], capture_output=True, text=True, env=environment)
        return done.returncode, done.stdout + done.stderr, (tmp_path / "calls").read_text().splitlines()

    return run


def test_all_tests_run_with_and_without_sanitizers(run_tests):
    code, said, calls = run_tests("nothing")
    assert code == 0 and "all passed" in said
    assert [call for call in calls if call.startswith("ctest")] == ["ctest --preset all", "ctest --preset asan"]


@pytest.mark.parametrize(("preset", "what"), [("all", "the tests"), ("asan", "the unit tests and fuzzers with sanitizers")])
def test_a_test_that_fails_keeps_no_other_from_running(run_tests, preset, what):
    code, said, calls = run_tests(f"ctest --preset {preset}")
    assert code == 1 and "all passed" not in said and f"failed: {what}; " in said
    assert "ctest --preset all" in calls and "ctest --preset asan" in calls


def test_a_build_that_fails_is_the_end(run_tests):
    code, said, calls = run_tests("cmake --build --preset release")
    assert code != 0 and "all passed" not in said
    assert not [call for call in calls if call.startswith("ctest")]


def test_every_test_file_is_registered():
    registered = set(re.findall(r"\w+", " ".join(file.read_text() for file in ROOT.glob("tests/**/CMakeLists.txt"))))
    files = [*ROOT.glob("tests/**/*_test.py"), *ROOT.glob("tests/**/*_test.cpp")]
    assert [str(file) for file in files if file.stem not in registered] == []

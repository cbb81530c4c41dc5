"""`cmake --install` gives a tree that runs from elsewhere."""

import os
import subprocess
from pathlib import Path

import pytest

BUILD = Path(os.environ["COLLIMATE_BUILD"])


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed tree, moved after its installation: nothing in it may depend on where it was put."""
    first = tmp_path_factory.mktemp("install") / "first"
    subprocess.run(["cmake", "--install", BUILD, "--prefix", first], check=True, capture_output=True)
    return first.rename(first.with_name("moved"))


def run(prefix: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Neither the project's folder nor its environment is in sight.
    return subprocess.run([prefix / "bin/collimate", *arguments], cwd=prefix, env={"PATH": "/usr/bin:/bin"}, text=True, capture_output=True)


def test_the_installed_program_runs_from_elsewhere(prefix: Path):
    done = run(prefix, "--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("collimate ")


def test_the_installed_program_finds_every_library(prefix: Path):
    libraries = subprocess.run(["ldd", prefix / "bin/collimate"], check=True, text=True, capture_output=True, cwd=prefix).stdout
    assert "libtorch_cpu" in libraries
    assert "not found" not in libraries
    assert str(BUILD) not in libraries


def test_what_a_run_needs_besides_is_installed(prefix: Path):
    share = prefix / "share/collimate"
    assert os.access(share / "launch/mpirun", os.X_OK)
    assert (share / "tools/requirements.txt").is_file()
    assert list((share / "configs").rglob("*.yaml"))
    assert not list(prefix.rglob("__pycache__"))

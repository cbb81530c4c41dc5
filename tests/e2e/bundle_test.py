"""launch/bundle: what it packs runs elsewhere, by what is in it and a libtorch that is named."""

import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from jobs import PATIENCE, REPOSITORY

MOST_BYTES = 25_000_000
LIBTORCH = (REPOSITORY / ".venv/libtorch").resolve()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    archive = folder / "bundle.tar.gz"
    command = [REPOSITORY / "launch/bundle", "--build", os.environ["COLLIMATE_BUILD"], "--output", archive]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    assert archive.stat().st_size < MOST_BYTES
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder / "collimate-bundle"


def run(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """With nothing of the caller's that could help it."""
    known = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(list(map(str, command)), cwd=cwd, env=known, capture_output=True, text=True, timeout=PATIENCE)


def test_one_process_starts_without_a_launcher_and_two_by_the_bundles_own(bundle, tmp_path):
    for launcher in ([], [bundle / "bin/mpirun", "-n", 2]):
        done = run(*launcher, bundle / "bin/collimate", "--version", cwd=tmp_path, COLLIMATE_LIBTORCH=str(LIBTORCH))
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("collimate ")


def test_its_libraries_are_the_bundles_or_libtorchs_or_the_systems_own(bundle, tmp_path):
    loaded = run(bundle / "bin/collimate", "--version", cwd=tmp_path, COLLIMATE_LIBTORCH=str(LIBTORCH), LD_DEBUG="files",
                 LD_DEBUG_OUTPUT=str(tmp_path / "loaded"))  # fmt: skip
    assert loaded.returncode == 0, loaded.stderr
    text = "".join(file.read_text() for file in tmp_path.glob("loaded.*"))
    paths = {line.split("calling init: ")[1].strip() for line in text.splitlines() if "calling init: " in line}
    mpi = {path for path in paths if "mpi" in Path(path).name or "open-rte" in path or "hdf5" in path}
    assert mpi and all(path.startswith(str(bundle)) for path in mpi), mpi


def test_without_libtorch_it_says_what_to_set(bundle, tmp_path):
    done = run(bundle / "bin/collimate", "--version", cwd=tmp_path, COLLIMATE_LIBTORCH=str(tmp_path))
    assert done.returncode == 2 and f"{tmp_path} is no folder of libtorch" in done.stderr
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python3").chmod(0o755)
    done = run(bundle / "bin/collimate", "--version", cwd=tmp_path, PATH=f"{tmp_path}:/usr/bin:/bin")
    assert done.returncode == 2 and "COLLIMATE_LIBTORCH" in done.stderr


def test_a_build_that_is_not_there_is_named(tmp_path):
    done = run(REPOSITORY / "launch/bundle", "--build", tmp_path, cwd=tmp_path)
    assert done.returncode == 2 and f"{tmp_path}/bin/collimate is not there" in done.stderr

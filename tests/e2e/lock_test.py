"""One writer at a time, on file systems with and without locks, by the program and by the tools in Python alike."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jobs import PATIENCE, REPOSITORY, command_of, environment_of

NO_LOCKS = Path(os.environ["COLLIMATE_BUILD"]) / "tests" / "e2e" / "libno_locks.so"
REASONS = {errno.ENOSYS: "Function not implemented", errno.EOPNOTSUPP: "Operation not supported", errno.ENOLCK: "No locks available"}

# Holds the lock of a file until it is killed.
HOLD = """
import sys, time
from pathlib import Path
from preferences.file_lock import FileLock
with FileLock(Path(sys.argv[1]), Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def without_locks(code: int, **more: str) -> dict[str, str]:
    return {"LD_PRELOAD": str(NO_LOCKS), "NO_LOCKS_ERRNO": str(code)} | more


WAYS = {
    "flock": {},
    "switched off": {"HDF5_USE_FILE_LOCKING": "FALSE"},
    **{REASONS[code]: without_locks(code) for code in REASONS},
    "no hard links": without_locks(errno.EOPNOTSUPP, NO_LINKS="1"),
}


def call(*arguments, ranks: int, way: dict[str, str]) -> subprocess.CompletedProcess:
    """The command on a file system of that kind."""
    options = [option for name, value in way.items() for option in ("-x", f"{name}={value}")]
    command = command_of(*arguments, ranks=ranks, launcher_options=["--timeout", PATIENCE - 10, *options])
    environment = environment_of(1) | (way if ranks == 1 else {})
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment)


def tokenize(run, output: Path, way: dict[str, str]) -> subprocess.CompletedProcess:
    rows = [{"prompt": f"w{i + 3}", "chosen": " w20", "rejected": " w21"} for i in range(8)]
    lines = run.folder / "rows.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    program = REPOSITORY / "tools/tokenize_preferences.py"
    options = ["--model", run.sections["model"]["path"], "--input", lines, "--output", output, "--max-length", "64", "--workers", "1"]
    return subprocess.run(
        [sys.executable, program, *map(str, options)], capture_output=True, text=True, timeout=PATIENCE, env=os.environ | way
    )


def hold(target: Path, way: dict[str, str]) -> subprocess.Popen:
    """A process of Python that holds the lock of a file."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, target], stdout=subprocess.PIPE, text=True, env=os.environ | way)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    return holder


def assert_told_once(done: subprocess.CompletedProcess, lock: Path, way: dict[str, str]) -> None:
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if "this file alone keeps other writers out" in line]
    if not way:
        assert told == []
        return
    reason = "HDF5_USE_FILE_LOCKING turns locks off"
    if "NO_LOCKS_ERRNO" in way:
        reason = f"the file system has no locks ({REASONS[int(way['NO_LOCKS_ERRNO'])]})"
    assert len(told) == 1 and f"{lock}: {reason}: " in told[0], done.stderr


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_every_writer_goes_on_where_there_are_no_locks_and_says_so_once(run, way, ranks):
    config = run.config(parallel={"data": ranks}, train={"max_steps": 2})
    lock = run.store.with_name("reference.h5.lock")
    assert_told_once(call("reference", config, ranks=ranks, way=way), lock, way)
    assert_told_once(call("train", config, ranks=ranks, way=way), run.output / "checkpoints.lock", way)
    assert not lock.exists() and not (run.output / "checkpoints.lock").exists()
    if ranks == 1:
        assert_told_once(tokenize(run, run.folder / "a.h5", way), run.folder / "a.h5.lock", way)
        assert sorted(file.name for file in run.folder.glob("*a.h5*")) == ["a.h5"]


@pytest.mark.parametrize("second", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("first", [{}, WAYS["switched off"]], ids=["flock", "file"])
def test_a_second_writer_is_refused_and_a_killed_one_taken_over_from_whichever_way_each_comes(run, first, second):
    config = run.config()
    holder = hold(run.store, first)
    done = call("reference", config, ranks=1, way=second)
    assert done.returncode == 2 and done.stderr.count("error:") == 1
    assert f"{run.store}: is being written by process {holder.pid} on " in done.stderr
    assert not run.store.exists() and not run.store.with_name("reference.h5.parts").exists()
    holder.kill()
    done = call("reference", config, ranks=1, way=second)  # nobody has asked for the exit code of the holder
    holder.wait()
    assert done.returncode == 0, done.stderr
    assert f"reference.h5.lock: taken over from process {holder.pid} on " in done.stderr
    assert not run.store.with_name("reference.h5.lock").exists()


@pytest.mark.parametrize("way", [{}, WAYS["switched off"]], ids=["flock", "file"])
def test_the_tools_in_python_and_the_program_keep_each_other_out(run, way):
    run.sections["reference"]["block_pairs"] = 1
    environment = environment_of(1) | way
    job = subprocess.Popen(command_of("reference", run.config(), ranks=1), stderr=subprocess.PIPE, text=True, env=environment)
    lock = run.store.with_name("reference.h5.lock")
    while job.poll() is None and not lock.exists():
        time.sleep(0.001)
    job.send_signal(signal.SIGSTOP)
    assert lock.exists(), "the job was quicker than this test"
    done = tokenize(run, run.store, way)
    assert done.returncode == 2 and f"{run.store}: is being written by process {job.pid} on " in done.stderr
    job.kill()
    job.communicate()
    done = tokenize(run, run.store, way)
    assert done.returncode == 0 and f"taken over from process {job.pid} on " in done.stderr


def test_a_holder_on_another_host_is_named_with_what_to_do(run):
    lock = run.store.with_name("reference.h5.lock")
    holder = {"host": "node7", "process": 12, "since": "2026-01-02 03:04:05", "boot_id": "another", "started": 9,
              "pid_namespace": "pid:[1]", "flock": False}  # fmt: skip
    lock.write_text(json.dumps(holder))
    says = "is being written by process 12 on node7 since 2026-01-02 03:04:05, which cannot be seen from "
    for way in ({}, WAYS["switched off"]):
        for done in (call("reference", run.config(), ranks=1, way=way), tokenize(run, run.store, way)):
            assert done.returncode == 2
            assert says in done.stderr and f"; once it has ended, delete {lock}" in done.stderr
    assert json.loads(lock.read_text()) == holder


def test_no_other_error_is_taken_for_another_process(run):
    way = without_locks(errno.EIO)
    done = call("reference", run.config(), ranks=1, way=way)
    assert done.returncode == 2 and f"{run.store}.lock: cannot be locked: Input/output error" in done.stderr
    done = tokenize(run, run.folder / "a.h5", way)
    assert done.returncode == 2 and f"{run.folder / 'a.h5.lock'}: cannot be locked: Input/output error" in done.stderr
    assert not list(run.folder.glob("*.lock")) and not list(run.folder.glob(".*staged*"))

"""Running the `collimate` command and reading what a run leaves."""

import json
import os
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ["COLLIMATE_BUILD"]) / "bin" / "collimate"
# Seconds that anything may take which must end or come about: a machine may be slow and busy. Only what hangs takes them.
PATIENCE = 300
# How many times as often a run is stopped or killed somewhere as in each test run.
SOAK = int(os.environ.get("COLLIMATE_SOAK", "1"))
TIMING = {"pairs_per_second", "tokens_per_second", "mfu", "step_seconds", "eval_seconds", "eval_pairs_per_second"}


def environment_of(threads: int) -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": str(threads), "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def command_of(*arguments, ranks: int, launcher_options=()) -> list[str]:
    command = [BINARY, *arguments]
    if ranks > 1:
        command = [REPOSITORY / "launch" / "mpirun", "-n", ranks, *launcher_options, *command]
    return [str(part) for part in command]


def collimate(*arguments, ranks=1, threads=1, cwd=None) -> subprocess.CompletedProcess:
    """Runs the command on `ranks` ranks of `threads` threads each; the caller looks at the exit code."""
    return subprocess.run(
        command_of(*arguments, ranks=ranks, launcher_options=["--timeout", PATIENCE - 10]),
        cwd=cwd,
        timeout=PATIENCE,
        capture_output=True,
        text=True,
        env=environment_of(threads),
    )


def start(*arguments, ranks=1) -> subprocess.Popen:
    """The command in the background, on ranks of one thread each; what it says on stderr can be read."""
    return subprocess.Popen(
        command_of(*arguments, ranks=ranks), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment_of(1)
    )


def succeed(*arguments, **options) -> subprocess.CompletedProcess:
    """As collimate(), for a call that must end well."""
    done = collimate(*arguments, **options)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def refuse(*arguments, says, **options) -> str:
    """As collimate(), for a call that must end with exit code 2 and one message that has every text of `says`."""
    done = collimate(*arguments, **options)
    message = done.stderr
    assert done.returncode == 2, f"exit {done.returncode}\n{done.stdout}\n{message}"
    for text in [says] if isinstance(says, str) else says:
        assert text in message, f"{text!r} is not in\n{message}"
    assert message.count("error:") == 1, message
    return message


def in_private_mount(script: str) -> subprocess.CompletedProcess:
    """Runs a shell script in its own mount namespace: root is stopped by a read-only or full file system only."""
    return subprocess.run(["unshare", "-m", "bash", "-c", script], capture_output=True, text=True, timeout=PATIENCE, env=environment_of(1))


def running(program: Path, *words: object) -> list[int]:
    """Processes of `program` that have all of these words in their command lines."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended meanwhile
        if line[0] == str(program).encode() and all(str(word).encode() in line for word in words):
            found.append(int(process.name))
    return found


def write_config(path: Path, sections: dict) -> Path:
    """A configuration file; JSON is YAML."""
    path.write_text(json.dumps(sections, indent=1))
    return path


def read_metrics(output: Path) -> list[dict]:
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


def step_metrics(output: Path) -> list[dict]:
    return [line for line in read_metrics(output) if "loss" in line]


def without_timing(lines: list[dict]) -> list[dict]:
    """What two runs of one configuration must agree in."""
    return [{name: value for name, value in line.items() if name not in TIMING} for line in lines]

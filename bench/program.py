"""What the comparisons share: programs, and Collimate's steps on the workload of trl_workload.py."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from trl_workload import write_model, write_text

ROOT = Path(__file__).resolve().parents[1]
COLLIMATE = ROOT / "build/release/bin/collimate"
NUM_CORES = len(os.sched_getaffinity(0))
NUM_PAIRS = 512
LEARNING_RATE = 1e-5


Candidate = TypeVar("Candidate")  # anything with a name
Lines = list[tuple[float, str]]  # what a program said, each with the time when it came


def call(command: list[object], num_threads: int = NUM_CORES, **environment: str) -> Lines:
    """Runs a program quietly and gives what it said, which is shown when it fails."""
    words = [str(word) for word in command]
    variables = {**os.environ, "OMP_NUM_THREADS": str(num_threads), "TOKENIZERS_PARALLELISM": "false", **environment}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with subprocess.Popen(words, env=variables, cwd=ROOT, **streams) as process:
        lines = [(time.perf_counter(), line.rstrip("\n")) for line in process.stdout]
    if process.returncode != 0:
        said = "\n".join(line for _, line in lines)
        sys.exit(f"{command[0]} failed with exit code {process.returncode}:\n{said[-6000:]}")
    return lines


def run_ranks(num_ranks: int, command: list[object], settings: dict[str, object] | None = None) -> Lines:
    """As `call`, a program of ours with these keys set; all cores are in use."""
    options = [word for key, value in (settings or {}).items() for word in ("--set", f"{key}={value}")]
    return call([ROOT / "launch/mpirun", "-n", num_ranks, *command, *options], NUM_CORES // num_ranks)


def require_program(program: Path, target: str) -> None:
    if not program.is_file():
        sys.exit(f"{program}: missing: build it with cmake --build build/release --target {target}")


def require_collimate() -> None:
    require_program(COLLIMATE, "collimate")


def find_fastest(candidates: list[Candidate], speed_of: Callable[[Candidate], float]) -> Candidate:
    """By its pairs a second; a setting that fails is told and left out."""
    speeds = {}
    for candidate in candidates:
        try:
            speeds[candidate] = speed_of(candidate)
        except SystemExit as failure:
            print(f"  failed          {candidate.name}: {str(failure).strip().splitlines()[-1]}", flush=True)
            continue
        print(f"  {speeds[candidate]:6.2f} pairs/s  {candidate.name}", flush=True)
    return max(speeds, key=speeds.__getitem__)


def write_inputs(work: Path, batch_size: int, num_pairs: int = NUM_PAIRS) -> None:
    """Makes the folder anew, with model, pairs.h5 and run.yaml."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    write_model(work / "model")
    write_text(work / "pairs.jsonl", num_pairs)
    tokenizer = ROOT / "tools/tokenize_preferences.py"
    call([sys.executable, tokenizer, "--model", work / "model", "--input", work / "pairs.jsonl", "--output",
          work / "pairs.h5", "--max-length", 1024])  # fmt: skip
    (work / "run.yaml").write_text(f"""
model: {{path: {work}/model}}
reference: {{store: {work}/reference.h5}}
data: {{train: {work}/pairs.h5, shuffle: false}}
batch: {{global_batch_size: {batch_size}}}
objective: {{loss_type: sigmoid, beta: 0.1}}
optimizer: {{learning_rate: {LEARNING_RATE}, lr_scheduler_type: constant, warmup_steps: 0}}
checkpoint: {{save_steps: 1000000}}
output: {{directory: {work}/run}}
""")


def prepare(work: Path, batch_size: int) -> None:
    """Makes the folder anew, with all of that and the reference scores."""
    write_inputs(work, batch_size)
    run_ranks(NUM_CORES, [COLLIMATE, "reference", work / "run.yaml"])


def train(work: Path, num_ranks: int, settings: dict[str, object]) -> list[dict]:
    """The metrics of each step of a fresh run of run.yaml with these keys set."""
    shutil.rmtree(work / "run", ignore_errors=True)
    run_ranks(num_ranks, [COLLIMATE, "train", work / "run.yaml"], settings)
    lines = [json.loads(line) for line in (work / "run/metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "pairs_per_second" in line]

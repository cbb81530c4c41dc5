"""What the comparisons share: programs, and Collimate's steps on the workload of trl_workload.py."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from trl_workload import write_model, write_text

ROOT = Path(__file__).resolve().parents[1]
COLLIMATE = ROOT / "build/release/bin/collimate"
NUM_CORES = len(os.sched_getaffinity(0))
NUM_PAIRS = 512
LEARNING_RATE = 1e-5


def call(command: list[object], num_threads: int = NUM_CORES, **environment: str) -> None:
    """Runs a program quietly; what it said is shown when it fails."""
    variables = {**os.environ, "OMP_NUM_THREADS": str(num_threads), "TOKENIZERS_PARALLELISM": "false", **environment}
    done = subprocess.run([str(word) for word in command], env=variables, text=True, capture_output=True, cwd=ROOT)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed with exit code {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def require_collimate() -> None:
    if not COLLIMATE.is_file():
        sys.exit(f"{COLLIMATE}: missing: build it with cmake --build --preset release")


def prepare(work: Path, batch_size: int) -> None:
    """Makes the folder anew, with model, pairs.h5, reference scores and run.yaml."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    write_model(work / "model")
    write_text(work / "pairs.jsonl", NUM_PAIRS)
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
    call([ROOT / "launch/mpirun", "-n", NUM_CORES, COLLIMATE, "reference", work / "run.yaml"], 1)


def train(work: Path, num_ranks: int, settings: dict[str, object]) -> list[dict]:
    """The metrics of each step of a fresh run of run.yaml with these keys set; all cores are in use."""
    shutil.rmtree(work / "run", ignore_errors=True)
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    command = [ROOT / "launch/mpirun", "-n", num_ranks, COLLIMATE, "train", work / "run.yaml", *options]
    call(command, NUM_CORES // num_ranks)
    lines = [json.loads(line) for line in (work / "run/metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "pairs_per_second" in line]

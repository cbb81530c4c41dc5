#!/usr/bin/env python3
"""Pairs a second of one process with two threads and of the same work over two ranks of one thread: tensor, pipeline, data.

The layouts take turns; steps of warming up do not count. Every step has at least 16 microbatches, so that a pipeline has
something to fill. Needs build/release/bin/collimate.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from trl_workload import write_model, write_text

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build/bench-layouts"
COLLIMATE = ROOT / "build/release/bin/collimate"
BATCH_SIZE = 32
MICROBATCH_TOKENS = 1800  # two pairs
NUM_CORES = 2

CONFIG = f"""
model: {{path: {WORK}/model}}
reference: {{store: {WORK}/reference.h5}}
data: {{train: {WORK}/pairs.h5, shuffle: false}}
batch: {{global_batch_size: {BATCH_SIZE}, microbatch_tokens: {MICROBATCH_TOKENS}}}
objective: {{loss_type: sigmoid, beta: 0.1}}
optimizer: {{learning_rate: 1.0e-5, lr_scheduler_type: constant, warmup_steps: 0}}
checkpoint: {{save_steps: 1000000}}
output: {{directory: {WORK}/run}}
"""


@dataclass
class Layout:
    name: str
    ranks: int
    settings: dict[str, object] = field(default_factory=dict)
    speeds: list[float] = field(default_factory=list)

    def run(self, num_steps: int, num_warmup: int) -> float:
        """Median pairs a second of the counted steps."""
        shutil.rmtree(WORK / "run", ignore_errors=True)
        settings = self.settings | {"train.max_steps": num_steps + num_warmup}
        options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        command = [ROOT / "launch/mpirun", "-n", self.ranks, COLLIMATE, "train", WORK / "run.yaml", *options]
        call(command, NUM_CORES // self.ranks)
        lines = [json.loads(line) for line in (WORK / "run/metrics.jsonl").read_text().splitlines()]
        counted = [line["pairs_per_second"] for line in lines if "pairs_per_second" in line][num_warmup:]
        self.speeds += counted
        return statistics.median(counted)

    @property
    def median(self) -> float:
        return statistics.median(self.speeds)


def layouts(quick: bool) -> list[Layout]:
    """One process first; `quick`: one setting an axis."""
    whole_rows = {"parallel.tensor": 2, "parallel.sequence_parallel": "false"}
    main = [
        Layout("one process, two threads", 1),
        Layout("data 2", 2),
        Layout("tensor 2, whole rows", 2, whole_rows),
        Layout("pipeline 2, zbv", 2, {"parallel.pipeline": 2, "parallel.schedule": "zbv", "parallel.virtual_stages": 2}),
    ]
    others = [
        Layout("tensor 2, divided rows", 2, {"parallel.tensor": 2}),
        Layout("pipeline 2, 1f1b", 2, {"parallel.pipeline": 2}),
        Layout("pipeline 2, zb_h1", 2, {"parallel.pipeline": 2, "parallel.schedule": "zb_h1"}),
    ]
    return main if quick else main + others


def call(command: list[object], num_threads: int = NUM_CORES) -> None:
    """Runs a program quietly; what it said is shown when it fails."""
    variables = os.environ | {"OMP_NUM_THREADS": str(num_threads), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run([str(word) for word in command], env=variables, text=True, capture_output=True, cwd=ROOT)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed with exit code {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def prepare() -> None:
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    write_model(WORK / "model")
    write_text(WORK / "pairs.jsonl", 512)
    tokenizer = ROOT / "tools/tokenize_preferences.py"
    call([sys.executable, tokenizer, "--model", WORK / "model", "--input", WORK / "pairs.jsonl", "--output",
          WORK / "pairs.h5", "--max-length", 1024])  # fmt: skip
    (WORK / "run.yaml").write_text(CONFIG)
    call([ROOT / "launch/mpirun", "-n", 2, COLLIMATE, "reference", WORK / "run.yaml"], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="counted steps of each run")
    parser.add_argument("--warmup", type=int, default=1, help="steps before them")
    parser.add_argument("--quick", action="store_true", help="one setting an axis")
    options = parser.parse_args()
    if not COLLIMATE.is_file():
        sys.exit(f"{COLLIMATE}: missing: build it with cmake --build --preset release")
    prepare()
    contenders = layouts(options.quick)
    for round_index in range(options.rounds):
        for layout in contenders if round_index % 2 == 0 else contenders[::-1]:
            speed = layout.run(options.steps, options.warmup)
            print(f"  round {round_index + 1}: {speed:6.2f} pairs/s  {layout.name}", flush=True)
    base = contenders[0].median
    for layout in contenders:
        print(f"{layout.median:6.2f} pairs/s, median  {layout.name}: {layout.median / base:.2f} of one process")


if __name__ == "__main__":
    main()

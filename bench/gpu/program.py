"""Runs of `collimate` on one device, and what they say of themselves."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

_MEMORY = re.compile(r"at most ([0-9.]+) (\w+) of tensors .*; planned ([0-9.]+) (\w+)")
_UNITS = {"KiB": 2**-20, "MiB": 2**-10, "GiB": 1.0}
_TIMING = ("pairs_per_second", "tokens_per_second", "mfu", "step_seconds")


@dataclass
class Run:
    """One run of training; `steps` are its lines of metrics.jsonl."""

    steps: list[dict]
    gib: float | None = None  # measured
    planned_gib: float | None = None
    log: str = field(default="", repr=False)

    @property
    def results(self) -> list[dict]:
        """What must be the same whenever it is the same run."""
        return [{key: value for key, value in step.items() if key not in _TIMING} for step in self.steps]

    @property
    def losses(self) -> list[float]:
        return [step["loss"] for step in self.steps]

    def median(self, name: str) -> float:
        """Over all steps but the first two, which warm up."""
        values = sorted(step[name] for step in self.steps[2:])
        return values[len(values) // 2]


class Collimate:
    """The program, with a folder for its runs."""

    def __init__(self, program: Path, work: Path, device: str):
        self.program = program
        self.work = work
        self.device = device

    def config(self, name: str, model: Path, pairs: Path, dtype: str, microbatch_tokens: int, device: str = "") -> Path:
        """Writes a run's YAML file; its reference store is the model's, dtype's and device's own."""
        device = device or self.device
        path = self.work / f"{name}.yaml"
        path.write_text(
            f"model: {{path: {model}, dtype: {dtype}}}\n"
            f"reference: {{store: {self.work}/{model.name}-{dtype}-{device}.h5}}\n"
            f"data: {{train: {pairs}}}\n"
            f"batch: {{global_batch_size: 32, microbatch_tokens: {microbatch_tokens}}}\n"
            "objective: {loss_type: sigmoid, beta: 0.1}\n"
            "optimizer: {learning_rate: 1.0e-6, lr_scheduler_type: constant}\n"
            "checkpoint: {save_steps: 100000}\n"
            f"runtime: {{device: {device}}}\n"
            f"output: {{directory: {self.work}/{name}}}\n"
        )
        return path

    def call(self, *arguments: object, timeout: float = 300) -> str:
        done = subprocess.run(
            [str(self.program), *map(str, arguments)], capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(
                f"collimate {' '.join(map(str, arguments))}: exit {done.returncode}: {done.stderr[-800:]}"
            )
        return done.stderr

    def train(self, config: Path, name: str, num_steps: int, *settings: str, keep: bool = False) -> Run:
        """In a fresh folder, unless `keep`: then it goes on from what is there. The checkpoint is gone afterwards."""
        output = self.work / name
        if not keep:
            shutil.rmtree(output, ignore_errors=True)
        options = [f"output.directory={output}", f"train.max_steps={num_steps}", *settings]
        log = self.call("train", config, *(part for option in options for part in ("--set", option)))
        lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        run = Run([line for line in lines if "pairs_per_second" in line], log=log)
        memory = _MEMORY.search(log)
        if memory:
            run.gib = float(memory[1]) * _UNITS[memory[2]]
            run.planned_gib = float(memory[3]) * _UNITS[memory[4]]
        return run

    def forget(self, name: str) -> None:
        """Lets go of a run's gigabytes."""
        shutil.rmtree(self.work / name, ignore_errors=True)

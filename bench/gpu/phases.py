"""The phases of the GPU benchmark. Each gives a dictionary of figures."""

import csv
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import torch
from inputs import LARGE, SMALL, write_model, write_pairs
from program import Collimate, Run

BENCH = Path(__file__).resolve().parents[1]
NUM_PAIRS = 320
BIG_STREAM = 24576
NUM_STEPS = 8


class Bench:
    """What all phases share."""

    def __init__(self, program: Path, work: Path, device: str):
        work.mkdir(parents=True, exist_ok=True)
        self.collimate = Collimate(program, work, device)
        self.work = work
        self.small, self.large, self.pairs = work / "models/small", work / "models/large", work / "pairs.h5"
        write_model(self.small, SMALL, torch.float32)
        write_pairs(self.pairs, self.small, NUM_PAIRS)

    def small_config(self, name: str, dtype: str, device: str = "") -> Path:
        config = self.collimate.config(name, self.small, self.pairs, dtype, 4096, device)
        self.collimate.call("reference", config)
        return config

    @cached_property
    def large_run(self) -> Run:
        """Of the large model, with nothing computed twice."""
        run = self.collimate.train(self.large_config(), "large-run", NUM_STEPS)
        self.collimate.forget("large-run")
        return run

    def large_config(self, stream: int = BIG_STREAM) -> Path:
        write_model(self.large, LARGE, torch.bfloat16)
        return self.collimate.config(f"large-{stream}", self.large, self.pairs, "bfloat16", stream)


def correctness(bench: Bench) -> dict:
    """float32 beside the CPU, bfloat16 beside float32, and that the same run has the same bits."""
    train, num_steps = bench.collimate.train, 4
    on_cpu = train(bench.small_config("cpu", "float32", "cpu"), "cpu", num_steps)
    wide = train(bench.small_config("wide", "float32"), "wide", num_steps)
    config = bench.small_config("narrow", "bfloat16")
    first = train(config, "narrow", num_steps)
    train(config, "resumed", num_steps // 2)
    others = {
        "second run": train(config, "second", num_steps),
        "resumed run": train(config, "resumed", num_steps, keep=True),
        "recompute: selective": train(config, "selective", num_steps, "model.recompute=selective"),
        "recompute: full": train(config, "full", num_steps, "model.recompute=full"),
    }
    return {
        "float32 losses beside the CPU's": _largest_difference(wide.losses, on_cpu.losses),
        "bfloat16 losses beside float32's": _largest_difference(first.losses, wide.losses),
        **{f"{name}: same bits": run.results == first.results for name, run in others.items()},
    }


def speed(bench: Bench) -> dict:
    """Training steps of the 1.24B model, and its memory beside what was planned."""
    config = bench.large_config()
    bench.collimate.call("reference", config)
    figures: dict = {"recompute none": _figures(bench.large_run)}
    for name, settings in {
        "recompute selective": ["model.recompute=selective"],
        "recompute full": ["model.recompute=full"],
        "one stream a step": ["batch.microbatch_tokens=49152"],
    }.items():
        run = bench.collimate.train(config, "large", NUM_STEPS, *settings)
        bench.collimate.forget("large")
        figures[name] = _figures(run)
    return figures


def trl(bench: Bench) -> dict:
    """TRL's training and precomputation on the same pairs, with the fastest of some sizes of a pass."""
    own = bench.large_run
    figures: dict = {"collimate pairs/s": own.median("pairs_per_second")}
    for pairs_per_pass in (16, 32, 8, 4):
        report = _run_trl(bench, "trl_dpo.py", pairs_per_pass, "--num-steps", NUM_STEPS, "--batch-size", 32,
                          "--learning-rate", 1e-6)  # fmt: skip
        if report is None:
            continue
        seconds = sorted(report["step_seconds"][2:])
        figures[f"TRL pairs/s, {pairs_per_pass} a pass"] = 32 / seconds[len(seconds) // 2]
        figures["TRL losses"] = report["losses"]
    best = max((value for name, value in figures.items() if name.startswith("TRL pairs/s")), default=None)
    figures["times TRL's best"] = own.median("pairs_per_second") / best if best else None
    figures["collimate losses"] = own.losses
    return figures


def trl_scoring(bench: Bench) -> dict:
    """TRL's precomputation of reference log-probs beside `collimate reference`."""
    config = bench.large_config()
    store = bench.work / "large-bfloat16-cuda.h5"
    store.unlink(missing_ok=True)
    figures: dict = {"collimate pairs/s": _last_rate(bench.collimate.call("reference", config))}
    best = 0.0
    for pairs_per_pass in (32, 16, 8):
        report = _run_trl(bench, "trl_precompute.py", pairs_per_pass)
        if report is None:
            continue
        rate = NUM_PAIRS / report["seconds"]
        figures[f"TRL pairs/s, {pairs_per_pass} a pass"] = rate
        best = max(best, rate)
        figures["largest relative difference of a sum"] = _difference_of_scores(store, bench.pairs, report)
    figures["times TRL's best"] = figures["collimate pairs/s"] / best if best else None
    return figures


def trace(bench: Bench) -> dict:
    """Where a step's time goes on the device, by kernel, and how near our own kernels are to the memory's rate: NVIDIA's
    ncu times each one by itself and counts the bytes that it moves."""
    config = bench.large_config()
    bench.collimate.call("reference", config)
    table = bench.work / "kernels.csv"
    metrics = "gpu__time_duration.sum,dram__bytes.sum"
    command = ["ncu", "--target-processes", "all", "--clock-control", "none", "--metrics", metrics,
               "--csv", "--page", "raw", "--log-file", str(table), str(bench.collimate.program), "train", str(config),
               "--set", "train.max_steps=1", "--set", f"output.directory={bench.work}/traced"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    bench.collimate.forget("traced")
    kernels = step_kernels(table.read_text())
    return {**shares(kernels), **rates(kernels, copy_bandwidth())}


@dataclass(frozen=True)
class Kernel:
    name: str
    seconds: float
    num_bytes: float


_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "byte": 1.0, "Kbyte": 1e3, "Mbyte": 1e6, "Gbyte": 1e9}


def step_kernels(text: str) -> list[Kernel]:
    """Of ncu's raw table, from the first attention on: what is before belongs to the start."""
    header, units, *rows = csv.reader(line for line in text.splitlines() if line.startswith('"'))
    name, seconds, moved = map(header.index, ("Kernel Name", "gpu__time_duration.sum", "dram__bytes.sum"))

    def value(row: list[str], column: int) -> float:
        return float(row[column].replace(",", "")) * _UNITS[units[column]]

    kernels = [Kernel(row[name], value(row, seconds), value(row, moved)) for row in rows]
    begin = next(i for i, kernel in enumerate(kernels) if "flash_fwd" in kernel.name)
    return kernels[begin:]


def shares(kernels: list[Kernel]) -> dict:
    sums: Counter = Counter()
    for kernel in kernels:
        sums[_kind(kernel.name)] += kernel.seconds
    total = sum(sums.values())
    outside = 1 - (sums["products"] + sums["attention"]) / total
    return {"kernels' seconds": total, "outside products and attention": outside,
            **{f"share of {kind}": seconds / total for kind, seconds in sums.most_common(14)}}  # fmt: skip


def rates(kernels: list[Kernel], bandwidth: float) -> dict:
    """Of our own kernels: bytes a second beside a copy's, where they take a thousandth of the time."""
    total = sum(kernel.seconds for kernel in kernels)
    own: dict[str, list[Kernel]] = {}
    for kernel in kernels:
        if "collimate" in kernel.name:
            own.setdefault(_kind(kernel.name), []).append(kernel)
    figures: dict = {"bytes/s of a copy": bandwidth}
    for kind, calls in own.items():
        seconds = sum(kernel.seconds for kernel in calls)
        if seconds > total / 1000:
            figures[f"{kind}: share of a copy's rate"] = sum(kernel.num_bytes for kernel in calls) / seconds / bandwidth
    return figures


def copy_bandwidth() -> float:
    """Bytes read and written a second by a copy of 2 GiB on the device."""
    source = torch.empty(1 << 31, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(5):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        target.copy_(source)
        end.record()
        torch.cuda.synchronize()
        best = min(best, begin.elapsed_time(end) / 1e3)
    return 2 * source.numel() / best


def _kind(name: str) -> str:
    if name.startswith("nvjet") or "gemm" in name.lower():
        return "products"
    if "flash" in name:
        return "attention"
    own = re.search(r"(\w+_kernel)<?", name) if "collimate" in name else None
    return own[1] if own else name.split("<")[0].split("(")[0][-50:]


def _figures(run: Run) -> dict:
    return {
        **{name: run.median(name) for name in ("pairs_per_second", "tokens_per_second", "mfu", "step_seconds")},
        "GiB": run.gib,
        "planned GiB": run.planned_gib,
        "losses": run.losses,
    }


def _difference_of_scores(store: Path, pairs: Path, report: dict) -> float:
    """The store has its pairs in an order of its own."""
    with h5py.File(store) as scored, h5py.File(pairs) as file:
        rows = {bytes(pair): row for row, pair in enumerate(scored["pair_id"][:])}
        order = [rows[bytes(pair)] for pair in file["pair_id"][:]]
        own = scored["chosen_logps"][:][order]
    theirs = np.array(report["chosen"])
    return float(np.max(np.abs(own - theirs) / np.abs(theirs)))


def _last_rate(log: str) -> float | None:
    rates = re.findall(r"pairs/s ([0-9.]+)", log)
    return float(rates[-1]) if rates else None


def _largest_difference(some: list[float], others: list[float]) -> float:
    return max(abs(one - other) / abs(other) for one, other in zip(some, others, strict=True))


def _run_trl(bench: Bench, script: str, pairs_per_pass: int, *options: object) -> dict | None:
    """None where it does not run, for want of memory or of the package."""
    output = bench.work / "trl.json"
    output.unlink(missing_ok=True)
    command = [sys.executable, str(BENCH / script), "--gpu", "--model", str(bench.large), "--preferences",
               str(bench.pairs), "--output", str(output), "--pairs-per-pass", str(pairs_per_pass),
               *map(str, options)]  # fmt: skip
    environment = {"OMP_NUM_THREADS": "8", **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment, check=False)
    if done.returncode != 0 or not output.exists():
        print(
            f"  {script} with {pairs_per_pass} pairs a pass: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr
        )
        return None
    return json.loads(output.read_text())

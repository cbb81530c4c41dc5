#!/usr/bin/env python3
"""Pairs a second of `collimate reference`, of its forward passes alone and of TRL's precomputation, on the same pairs.

Scoring and TRL are first tried in several settings on fewer pairs; then the best of each and forward_pass take turns,
each in a process of its own, with the same weights and cores. Scoring counts from its first pair to the store in its
place: reading, packing, passes, durable blocks and what is made of them, by the times at which its lines of progress
come. TRL counts its batches, passes and cached columns. Neither counts its start, the loading of the model, and the
hashes of weights and tokens. forward_pass has all streams in memory before it counts.

Needs build/release/bin/collimate and build/release/bench/forward_pass; makes an environment for TRL in build/trl-venv.
"""

import argparse
import json
import re
import shutil
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from program import (
    COLLIMATE,
    NUM_CORES,
    ROOT,
    Lines,
    find_fastest,
    require_collimate,
    require_program,
    run_ranks,
    write_inputs,
)
from trl_program import run_trl, set_up_trl

WORK = ROOT / "build/bench-scoring"
FORWARD_PASS = ROOT / "build/release/bench/forward_pass"
BATCH_SIZE = 16  # of run.yaml; nothing depends on it
PROGRESS = re.compile(r"scored (\d+)/\d+ pairs  pairs/s ([\d.]+)")
TOLERANCE = 1e-5  # of a log-prob, which is a sum of hundreds of float32 values


@dataclass(frozen=True)
class Timing:
    seconds: float
    log_probs: np.ndarray  # [pairs, 2] in file order, or their sum

    def pairs_per_second(self, num_pairs: int) -> float:
        return num_pairs / self.seconds


@dataclass(frozen=True)
class Contender:
    name: str
    run: Callable[[Path], Timing]  # in a folder of inputs


@dataclass(frozen=True)
class Setting:
    num_ranks: int
    microbatch_tokens: int
    block_pairs: int

    @property
    def keys(self) -> dict[str, object]:
        return {"batch.microbatch_tokens": self.microbatch_tokens, "reference.block_pairs": self.block_pairs}

    @property
    def name(self) -> str:
        threads = NUM_CORES // self.num_ranks
        return f"{self.num_ranks} process(es) x {threads} thread(s), microbatches of {self.microbatch_tokens} tokens"


def scoring_seconds(lines: Lines) -> float:
    """The first line of progress tells when scoring began: so many pairs ago at such a rate."""
    progress = [(when, match) for when, line in lines if (match := PROGRESS.search(line))]
    written = [when for when, line in lines if "wrote" in line]
    if not progress or not written:
        sys.exit("collimate reference told no progress: bench/compare_scoring.py reads its lines 'scored' and 'wrote'")
    when, match = progress[0]
    return written[0] - (when - int(match[1]) / float(match[2]))


def stored_log_probs(work: Path) -> np.ndarray:
    """Chosen and rejected of every pair, in the order of the preference file."""
    with h5py.File(work / "pairs.h5") as pairs, h5py.File(work / "reference.h5") as store:
        row_of_pair = {tuple(pair): row for row, pair in enumerate(store["pair_id"][:].tolist())}
        rows = [row_of_pair[tuple(pair)] for pair in pairs["pair_id"][:].tolist()]
        return np.stack([store["chosen_logps"][:], store["rejected_logps"][:]], axis=1)[rows]


def scoring(setting: Setting) -> Contender:
    def run(work: Path) -> Timing:
        (work / "reference.h5").unlink(missing_ok=True)
        shutil.rmtree(work / "reference.h5.parts", ignore_errors=True)
        lines = run_ranks(setting.num_ranks, [COLLIMATE, "reference", work / "run.yaml"], setting.keys)
        return Timing(scoring_seconds(lines), stored_log_probs(work))

    return Contender(f"Collimate, {setting.name}", run)


def forward_pass(setting: Setting) -> Contender:
    def run(work: Path) -> Timing:
        lines = run_ranks(setting.num_ranks, [FORWARD_PASS, work / "run.yaml"], setting.keys)
        report = next(json.loads(line) for _, line in lines if line.startswith("{"))
        return Timing(report["seconds"], np.array(report["log_probs"]))

    return Contender(f"forward pass, {setting.name}", run)


def trl(num_processes: int, pairs_per_pass: int) -> Contender:
    def run(work: Path) -> Timing:
        report = run_trl("trl_precompute.py", work, num_processes, {"pairs-per-pass": pairs_per_pass})
        return Timing(report["seconds"], np.array([report["chosen"], report["rejected"]]).T)

    num_threads = NUM_CORES // num_processes
    return Contender(f"TRL, {num_processes} process(es) x {num_threads} thread(s), {pairs_per_pass} pairs a pass", run)


def settings(quick: bool, block_pairs: int) -> list[Setting]:
    """`quick`: one of the fastest when all were tried."""
    if quick:
        return [Setting(NUM_CORES, 2048, block_pairs)]
    return [Setting(ranks, tokens, block_pairs) for ranks in sorted({1, NUM_CORES}) for tokens in (1024, 2048, 4096)]


def trl_contenders(quick: bool) -> list[Contender]:
    """`quick`: fewer sizes."""
    sizes = (1, 4) if quick else (1, 2, 4, 8)
    return [trl(processes, pairs) for processes in sorted({1, NUM_CORES}) for pairs in sizes]


def speed_at_first(contender: Contender, num_pairs: int) -> float:
    """The better of two runs on few pairs."""
    return max(contender.run(WORK / "probe").pairs_per_second(num_pairs) for _ in range(2))


def check_values(trl_values: np.ndarray, scored: np.ndarray, forward_sum: np.ndarray) -> None:
    """TRL's log-probs are those of the store, and forward_pass computed what scoring did."""
    difference = np.abs(trl_values - scored)
    relative = (difference / np.abs(scored)).max()
    sums = abs(scored.sum() / forward_sum - 1)
    print(f"  largest difference of a log-prob from TRL: {difference.max():.1e}, relative {relative:.1e}; "
          f"of the sum of all from forward_pass, relative {sums:.1e}", flush=True)  # fmt: skip
    if not (relative < TOLERANCE and sums < TOLERANCE):
        sys.exit("the log-probs differ: what was timed is not the same work")


def measure(contenders: list[Contender], num_rounds: int, num_pairs: int) -> list[list[float]]:
    """Pairs a second of every round and contender (TRL, scoring, forward_pass); the order alternates."""
    rounds = []
    for index in range(num_rounds):
        timings = {}
        for contender in contenders if index % 2 == 0 else contenders[::-1]:
            timing = timings[contender] = contender.run(WORK / "run")
            speed = timing.pairs_per_second(num_pairs)
            print(f"  round {index + 1}: {speed:6.2f} pairs/s  {contender.name}", flush=True)
        check_values(*(timings[contender].log_probs for contender in contenders))
        rounds.append([timings[contender].pairs_per_second(num_pairs) for contender in contenders])
    return rounds


def report(contenders: list[Contender], rounds: list[list[float]], output: Path) -> None:
    of_forward = [scored / forward for _, scored, forward in rounds]
    of_trl = [scored / theirs for theirs, scored, _ in rounds]
    medians = {one.name: statistics.median(column) for one, *column in zip(contenders, *rounds, strict=True)}
    print("\n".join(f"{speed:6.2f} pairs/s, median  {name}" for name, speed in medians.items()))
    for name, ratios in (("a forward pass without a store", of_forward), ("TRL's precomputation", of_trl)):
        rounded = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"scoring is {statistics.median(ratios):.2f} times as fast as {name} (median; rounds: {rounded})")
    content = {"command": sys.argv, "medians": medians, "rounds": rounds, "of_forward": of_forward, "of_trl": of_trl}
    output.write_text(json.dumps(content, indent=2) + "\n")
    print("command:", " ".join(sys.argv))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=256, help="of each round")
    parser.add_argument("--probe-pairs", type=int, default=32, help="of each run that tries a setting")
    parser.add_argument("--block-pairs", type=int, default=16, help="small: all ranks get as many, and many are saved")
    parser.add_argument("--quick", action="store_true", help="try only the few settings that were fastest before")
    parser.add_argument("--output", type=Path, default=WORK / "result.json")
    options = parser.parse_args()
    require_collimate()
    require_program(FORWARD_PASS, "forward_pass")
    set_up_trl()
    write_inputs(WORK / "probe", BATCH_SIZE, options.probe_pairs)
    write_inputs(WORK / "run", BATCH_SIZE, options.pairs)
    print("settings:", flush=True)
    few = options.probe_pairs
    choices = settings(options.quick, options.block_pairs)
    setting = find_fastest(choices, lambda choice: speed_at_first(scoring(choice), few))
    theirs = find_fastest(trl_contenders(options.quick), lambda contender: speed_at_first(contender, few))
    print("the fastest, in turns:", flush=True)
    contenders = [theirs, scoring(setting), forward_pass(setting)]
    report(contenders, measure(contenders, options.rounds, options.pairs), options.output)


if __name__ == "__main__":
    main()

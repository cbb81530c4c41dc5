#!/usr/bin/env python3
"""Pairs a second of Collimate and of TRL's DPOTrainer with precomputed reference: same weights, pairs, order and cores.

Both are first tried in several settings (passes, processes and threads), then the best of each take turns. Steps of
warming up do not count. Needs build/release/bin/collimate; makes an environment for TRL in build/trl-venv.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from program import LEARNING_RATE, NUM_CORES, ROOT, find_fastest, prepare, require_collimate, train
from trl_program import run_trl, set_up_trl

WORK = ROOT / "build/bench-trl"
BATCH_SIZE = 16


@dataclass(frozen=True)
class Timing:
    step_seconds: list[float]
    losses: list[float]

    def pairs_per_second(self, num_warmup: int) -> list[float]:
        return [BATCH_SIZE / seconds for seconds in self.step_seconds[num_warmup:]]


@dataclass(frozen=True)
class Contender:
    name: str
    run: Callable[[int], Timing]  # of so many steps


def collimate(num_ranks: int, microbatch_tokens: int) -> Contender:
    num_threads = NUM_CORES // num_ranks

    def run(num_steps: int) -> Timing:
        settings = {"train.max_steps": num_steps, "batch.microbatch_tokens": microbatch_tokens}
        steps = train(WORK, num_ranks, settings)
        return Timing([BATCH_SIZE / step["pairs_per_second"] for step in steps], [step["loss"] for step in steps])

    name = f"Collimate, {num_ranks} process(es) x {num_threads} thread(s), microbatches of {microbatch_tokens} tokens"
    return Contender(name, run)


def trl(num_processes: int, pairs_per_pass: int, compiled: bool = False) -> Contender:
    def run(num_steps: int) -> Timing:
        options = {"num-steps": num_steps, "batch-size": BATCH_SIZE, "pairs-per-pass": pairs_per_pass}
        options |= {"learning-rate": LEARNING_RATE, **({"compile": None} if compiled else {})}
        return Timing(**run_trl("trl_dpo.py", WORK, num_processes, options))

    compile_note = ", torch.compile" if compiled else ""
    num_threads = NUM_CORES // num_processes
    name = f"TRL, {num_processes} process(es) x {num_threads} thread(s), {pairs_per_pass} pairs a pass{compile_note}"
    return Contender(name, run)


def contenders(quick: bool) -> tuple[list[Contender], list[Contender]]:
    """Collimate's settings and TRL's; `quick`: the few that were fastest when all were tried."""
    if quick:
        return [collimate(NUM_CORES, 2048)], [trl(processes, 1) for processes in {1, NUM_CORES}]
    ours = [collimate(ranks, tokens) for ranks in {1, NUM_CORES} for tokens in (2048, 4096)]
    theirs = [trl(processes, pairs) for processes in {1, NUM_CORES} for pairs in (1, 2, 4)]
    return ours, [*theirs, trl(1, 8), trl(1, 2, compiled=True)]


def speed_at_first(candidate: Contender) -> float:
    """The better of two steps after one of warming up."""
    return max(candidate.run(3).pairs_per_second(1))


def measure(finalists: list[Contender], num_rounds: int, num_steps: int, num_warmup: int) -> dict[str, float]:
    """The median of all counted steps of each; finalists take turns, the order alternates."""
    speeds = {finalist.name: [] for finalist in finalists}
    losses = {}
    for round_index in range(num_rounds):
        for finalist in finalists if round_index % 2 == 0 else finalists[::-1]:
            timing = finalist.run(num_steps + num_warmup)
            speeds[finalist.name] += timing.pairs_per_second(num_warmup)
            losses[finalist.name] = timing.losses
            median = statistics.median(timing.pairs_per_second(num_warmup))
            print(f"  round {round_index + 1}: {median:6.2f} pairs/s  {finalist.name}", flush=True)
    ours, theirs = losses.values()
    print(f"largest difference of a step's loss: {max(abs(a - b) for a, b in zip(ours, theirs, strict=True)):.1e}")
    return {name: statistics.median(values) for name, values in speeds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5, help="counted steps of each run")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them")
    parser.add_argument("--quick", action="store_true", help="try only the few settings that were fastest before")
    parser.add_argument("--output", type=Path, default=WORK / "result.json")
    options = parser.parse_args()
    require_collimate()
    set_up_trl()
    prepare(WORK, BATCH_SIZE)
    print("settings:", flush=True)
    ours, theirs = (find_fastest(candidates, speed_at_first) for candidates in contenders(options.quick))
    print("the fastest, in turns:", flush=True)
    medians = measure([ours, theirs], options.rounds, options.steps, options.warmup)
    ratio = medians[ours.name] / medians[theirs.name]
    print("\n".join(f"{speed:6.2f} pairs/s, median  {name}" for name, speed in medians.items()), f"\nratio {ratio:.2f}")
    options.output.write_text(json.dumps({"medians": medians, "ratio": ratio}, indent=2) + "\n")


if __name__ == "__main__":
    main()

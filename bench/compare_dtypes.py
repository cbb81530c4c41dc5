#!/usr/bin/env python3
"""Pairs a second in bfloat16 and in float32: one process, two threads, the two taking turns. Needs build/release/bin/collimate."""

import argparse
import statistics

from program import ROOT, prepare, require_collimate, train

WORK = ROOT / "build/bench-dtypes"
BATCH_SIZE = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4, help="counted steps of each run")
    parser.add_argument("--warmup", type=int, default=1, help="steps before them")
    options = parser.parse_args()
    require_collimate()
    prepare(WORK, BATCH_SIZE)
    speeds: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    for round_index in range(options.rounds):
        for dtype in sorted(speeds, reverse=round_index % 2 == 0):
            settings = {
                "model.dtype": dtype,
                "reference.dtype": "float32",  # the store that is there
                "train.max_steps": options.steps + options.warmup,
            }
            counted = [step["pairs_per_second"] for step in train(WORK, 1, settings)][options.warmup :]
            speeds[dtype] += counted
            print(f"  round {round_index + 1}: {statistics.median(counted):6.2f} pairs/s  {dtype}", flush=True)
    medians = {dtype: statistics.median(values) for dtype, values in speeds.items()}
    print(f"{medians['float32']:.2f} pairs/s in float32, {medians['bfloat16']:.2f} in bfloat16: {medians['bfloat16'] / medians['float32']:.2f}")


if __name__ == "__main__":
    main()

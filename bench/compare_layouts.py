#!/usr/bin/env python3
"""Pairs a second of one process with two threads and of the same work over two ranks of one thread: tensor, pipeline, data.

The layouts take turns; steps of warming up do not count. Every step has at least 16 microbatches, so that a pipeline has
something to fill. Needs build/release/bin/collimate.
"""

import argparse
import statistics
from dataclasses import dataclass, field

from program import ROOT, prepare, require_collimate, train

WORK = ROOT / "build/bench-layouts"
BATCH_SIZE = 32
MICROBATCH_TOKENS = 1800  # two pairs


@dataclass
class Layout:
    name: str
    ranks: int
    settings: dict[str, object] = field(default_factory=dict)
    speeds: list[float] = field(default_factory=list)

    def run(self, num_steps: int, num_warmup: int) -> float:
        """Median pairs a second of the counted steps."""
        settings = {"batch.microbatch_tokens": MICROBATCH_TOKENS, "train.max_steps": num_steps + num_warmup}
        steps = train(WORK, self.ranks, settings | self.settings)
        counted = [step["pairs_per_second"] for step in steps][num_warmup:]
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="counted steps of each run")
    parser.add_argument("--warmup", type=int, default=1, help="steps before them")
    parser.add_argument("--quick", action="store_true", help="one setting an axis")
    options = parser.parse_args()
    require_collimate()
    prepare(WORK, BATCH_SIZE)
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

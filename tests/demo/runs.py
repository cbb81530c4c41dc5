"""Runs as `collimate train` leaves them, made up."""

import json
from pathlib import Path

from demo.metrics import RunMetrics


def write_run(folder: Path, rows: list[dict[str, float]]) -> RunMetrics:
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return RunMetrics.load(folder)


def sft_run(folder: Path) -> RunMetrics:
    rows = [{"step": step, "loss": 8.0 / step} for step in range(1, 5)]
    return write_run(folder, [*rows, {"step": 4, "eval_loss": 2.5}])


def dpo_run(folder: Path) -> RunMetrics:
    rows = []
    for step in range(1, 5):
        rows.append({"step": step, "loss": 0.7 - step / 10, "rewards/accuracies": 0.5 + step / 10})
        if step % 2 == 0:
            rewards = {"chosen": step / 10, "rejected": -step / 5, "margins": step * 0.3, "accuracies": 0.6 + step / 40}
            row = {f"eval_rewards/{name}": value for name, value in rewards.items()}
            rows.append({"step": step, "eval_loss": 0.7 - step / 20, **row})
    return write_run(folder, rows)

"""metrics.jsonl of a run: one object a training step or an evaluation."""

from dataclasses import dataclass
from pathlib import Path

from preferences.errors import InputError

from .files import read_jsonl


@dataclass(frozen=True)
class Series:
    steps: list[int]
    values: list[float]


@dataclass(frozen=True)
class RunMetrics:
    """The metrics of one run by name; names of evaluations begin with eval_."""

    file: Path
    rows: list[dict[str, float]]

    @staticmethod
    def load(run: Path) -> "RunMetrics":
        file = run / "metrics.jsonl"
        return RunMetrics(file, read_jsonl(file))

    def series(self, name: str) -> Series:
        """Throws InputError when no step has it."""
        found = [(int(row["step"]), row[name]) for row in self.rows if name in row]
        if not found:
            raise InputError(f"{self.file}: {name}: in no line: the metrics of a run with it")
        return Series([step for step, _ in found], [value for _, value in found])

    def last(self, name: str) -> float:
        return self.series(name).values[-1]


def smooth(series: Series, span: int) -> Series:
    """Means of up to `span` steps that end with each step: single batches are noisy."""
    parts = [series.values[max(0, end - span) : end] for end in range(1, len(series.values) + 1)]
    return Series(series.steps, [sum(part) / len(part) for part in parts])

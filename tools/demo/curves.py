"""One picture of both runs: the losses, the held-out accuracy, and how the rewards part."""

import io
from pathlib import Path

import matplotlib

matplotlib.use("agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

from .command_line import command_line
from .files import write_bytes
from .metrics import RunMetrics, smooth

SPAN = 20
BLUE, ORANGE, GREEN, RED, GRAY = "#1f6fb4", "#e07b00", "#2b8a3e", "#c92a2a", "#868e96"


def draw(sft: RunMetrics, dpo: RunMetrics) -> bytes:
    """The picture as PNG."""
    figure, axes = pyplot.subplots(2, 2, figsize=(11, 7), layout="constrained")
    _draw_loss(axes[0, 0], sft, "SFT: loss a token")
    _draw_loss(axes[0, 1], dpo, "DPO: loss")
    _draw_accuracy(axes[1, 0], dpo)
    _draw_rewards(axes[1, 1], dpo)
    for axis in axes.flat:
        axis.set_xlabel("optimizer step")
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    pyplot.close(figure)
    return content.getvalue()


def _draw_line(axis: Axes, run: RunMetrics, name: str, label: str, color: str) -> None:
    """A training metric smoothed, an evaluation metric with a mark at each evaluation."""
    is_evaluation = name.startswith("eval_")
    series = run.series(name) if is_evaluation else smooth(run.series(name), SPAN)
    marker = "o" if is_evaluation else None
    axis.plot(series.steps, series.values, color=color, label=label, marker=marker, markersize=4)


def _draw_loss(axis: Axes, run: RunMetrics, title: str) -> None:
    axis.set_title(title)
    _draw_line(axis, run, "loss", f"training, mean of {SPAN} steps", BLUE)
    _draw_line(axis, run, "eval_loss", "held out", ORANGE)


def _draw_accuracy(axis: Axes, run: RunMetrics) -> None:
    axis.set_title("DPO: share of pairs whose chosen response has the higher reward")
    _draw_line(axis, run, "rewards/accuracies", f"training, mean of {SPAN} steps", BLUE)
    _draw_line(axis, run, "eval_rewards/accuracies", "held out", ORANGE)
    axis.axhline(0.5, color=GRAY, linestyle=":", label="guessing")


def _draw_rewards(axis: Axes, run: RunMetrics) -> None:
    axis.set_title("DPO: held-out rewards")
    _draw_line(axis, run, "eval_rewards/chosen", "chosen", GREEN)
    _draw_line(axis, run, "eval_rewards/rejected", "rejected", RED)
    _draw_line(axis, run, "eval_rewards/margins", "margin", BLUE)


def main(arguments: list[str]) -> None:
    parser = command_line("curves", __doc__)
    parser.add_argument("--sft", type=Path, required=True, metavar="RUN", help="the folder of the SFT run")
    parser.add_argument("--dpo", type=Path, required=True, metavar="RUN", help="the folder of the DPO run")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.png")
    parsed = parser.parse_args(arguments)
    write_bytes(parsed.output, draw(RunMetrics.load(parsed.sft), RunMetrics.load(parsed.dpo)))
    print(parsed.output)

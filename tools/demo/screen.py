"""The result on one screen: losses, held-out accuracy, the blind verdict, and five texts before and after."""

import textwrap
from dataclasses import dataclass
from pathlib import Path

from .command_line import command_line
from .files import read_json, read_jsonl, write_bytes
from .judge import Verdict
from .metrics import RunMetrics
from .prepare import LEAST_AGREEMENT

WIDTH = 118
NUM_TEXTS = 5
LINES_A_TEXT = 3


@dataclass(frozen=True)
class Results:
    sft: RunMetrics
    dpo: RunMetrics
    evaluation: dict[str, float]  # what `collimate evaluate` printed
    verdict: Verdict
    samples: list[dict[str, str]]


def compose(results: Results) -> str:
    rule = "-" * WIDTH
    lines = ["", "Collimate: a language model learns to write movie reviews that people like", rule]
    lines += _figures(results)
    for title, key in (("before (SFT)", "before"), ("after (DPO)", "after")):
        lines += [rule, f"{title}, the same random numbers:"]
        for sample in results.samples[:NUM_TEXTS]:
            lines += _wrapped(sample[key])
    return "\n".join([*lines, rule]) + "\n"


def _figures(results: Results) -> list[str]:
    sft, dpo, verdict, evaluation = results.sft, results.dpo, results.verdict, results.evaluation
    sft_loss, dpo_loss = sft.series("loss").values, dpo.series("loss").values
    accuracy = evaluation["eval_rewards/accuracies"]
    rows = [
        ("SFT loss a token", f"{sft_loss[0]:.3f} -> {sft_loss[-1]:.3f}, held out {sft.last('eval_loss'):.3f}"),
        ("DPO loss", f"{dpo_loss[0]:.3f} -> {dpo_loss[-1]:.3f}, held out {evaluation['eval_loss']:.3f}"),
        ("held-out accuracy", f"{accuracy:.3f} of pairs of unseen snippets: the reward is on the side of the raters"),
        ("", f"(pairs on which under {LEAST_AGREEMENT:.0%} of rater pairs agree are left out, of training as of evaluation)"),
        ("win rate over SFT", f"{verdict.win_rate:.3f}, 95 % interval {verdict.low:.3f} to {verdict.high:.3f}"
         f" ({verdict.num_pairs} pairs of texts, {verdict.num_ties} ties; VADER judges blind)"),
        ("mean sentiment", f"{verdict.mean_before:+.3f} -> {verdict.mean_after:+.3f} (VADER, from -1 to 1)"),
    ]  # fmt: skip
    return [f"{name:>18}  {text}" for name, text in rows]


def _wrapped(text: str) -> list[str]:
    indents = {"initial_indent": "  - ", "subsequent_indent": "    "}
    return textwrap.wrap(text or "(nothing)", WIDTH, max_lines=LINES_A_TEXT, placeholder=" ...", **indents)


def main(arguments: list[str]) -> None:
    parser = command_line("screen", __doc__)
    parser.add_argument("--sft", type=Path, required=True, metavar="RUN", help="the folder of the SFT run")
    parser.add_argument("--dpo", type=Path, required=True, metavar="RUN", help="the folder of the DPO run")
    parser.add_argument("--evaluation", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--verdict", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--samples", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.txt")
    parsed = parser.parse_args(arguments)
    results = Results(
        sft=RunMetrics.load(parsed.sft),
        dpo=RunMetrics.load(parsed.dpo),
        evaluation=read_json(parsed.evaluation),
        verdict=Verdict(**read_json(parsed.verdict)),
        samples=read_jsonl(parsed.samples),
    )
    text = compose(results)
    write_bytes(parsed.output, text.encode())
    print(text, end="")

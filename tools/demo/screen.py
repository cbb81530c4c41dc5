"""The result on one screen: losses, held-out accuracy, the blind verdict, and five texts before and after."""

import textwrap
from pathlib import Path

from .command_line import command_line
from .files import read_json, read_jsonl, write_bytes
from .judge import Verdict
from .metrics import RunMetrics

WIDTH = 118
NUM_TEXTS = 5
LINES_A_TEXT = 3


def compose(sft: RunMetrics, dpo: RunMetrics, verdict: Verdict, samples: list[dict[str, str]]) -> str:
    rule = "-" * WIDTH
    lines = ["", "Collimate: a language model learns to write movie reviews that people like", rule]
    lines += _figures(sft, dpo, verdict)
    for title, key in (("before (SFT)", "before"), ("after (DPO)", "after")):
        lines += [rule, f"{title}, the same random numbers:"]
        for sample in samples[:NUM_TEXTS]:
            lines += _wrapped(sample[key])
    return "\n".join([*lines, rule]) + "\n"


def _figures(sft: RunMetrics, dpo: RunMetrics, verdict: Verdict) -> list[str]:
    first, losses, evaluations = sft.series("loss").values[0], dpo.series("loss").values, dpo.series("eval_loss").values
    accuracy = dpo.last("eval_rewards/accuracies")
    rows = [
        ("SFT loss a token", f"{first:.3f} -> {sft.last('loss'):.3f}, held out {sft.last('eval_loss'):.3f}"),
        ("DPO loss", f"{losses[0]:.3f} -> {losses[-1]:.3f}, held out {evaluations[0]:.3f} -> {evaluations[-1]:.3f}"),
        ("held-out accuracy", f"{accuracy:.3f} of pairs of unseen snippets: the reward is on the side of the raters"),
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
    parser.add_argument("--verdict", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--samples", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.txt")
    parsed = parser.parse_args(arguments)
    verdict = Verdict(**read_json(parsed.verdict))
    text = compose(RunMetrics.load(parsed.sft), RunMetrics.load(parsed.dpo), verdict, read_jsonl(parsed.samples))
    write_bytes(parsed.output, text.encode())
    print(text, end="")

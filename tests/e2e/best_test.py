"""Which checkpoints a run keeps: the newest, the best, and those of every so many steps."""

import json

import pytest
from jobs import TIMING, read_metrics, refuse, succeed


def steps_of(run):
    return [int(path.name.removeprefix("step_")) for path in sorted((run.output / "checkpoints").glob("step_*"))]


def best_step(run):
    return int((run.output / "checkpoints/best").readlink().name.removeprefix("step_"))


def evaluations(run):
    return [line for line in read_metrics(run.output) if "eval_loss" in line]


# A rate at which the loss on held-out pairs falls at first and rises later, by the numbers of this very run.
RESTLESS = {"learning_rate": 0.02, "lr_scheduler_type": "constant", "warmup_steps": 0}


@pytest.mark.parametrize(("metric", "key", "choose"), [
    ("eval_loss", "eval_loss", min),
    ("loss/sft", "eval_loss/sft", min),
    ("eval_rewards/margins", "eval_rewards/margins", max),
])  # fmt: skip
@pytest.mark.parametrize("ranks", [1, 2])
def test_best_is_the_step_with_the_best_evaluation(scored_run, metric, key, choose, ranks):
    config = scored_run.config(
        parallel={"data": ranks},
        objective={"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.5]},
        train={"metric_for_best_model": metric, "eval_steps": 1, "max_steps": 8},
        checkpoint={"save_steps": 100, "save_total_limit": 1},
        optimizer=RESTLESS,
    )
    succeed("train", config, ranks=ranks)
    lines = evaluations(scored_run)
    assert len(lines) == 8
    best = choose(lines, key=lambda line: line[key])
    assert best_step(scored_run) == best["step"]
    assert steps_of(scored_run) == sorted({best["step"], 8})
    evaluated = json.loads(succeed("evaluate", config, "--checkpoint", "best", ranks=ranks).stdout)
    for name, value in best.items():
        if name not in TIMING | {"epoch"}:
            assert evaluated[name] == pytest.approx(value, rel=1e-6), name


def test_a_resumed_run_remembers_what_was_best(scored_run):
    def train(max_steps):
        succeed("train", scored_run.config(train={"eval_steps": 1, "max_steps": max_steps}, optimizer=RESTLESS))

    train(4)
    train(8)
    lines = evaluations(scored_run)
    assert len(lines) == 8
    assert best_step(scored_run) == min(lines, key=lambda line: line["eval_loss"])["step"]


def test_a_kill_before_the_pointer_moved_is_made_good(scored_run):
    config = scored_run.config(train={"eval_steps": 1, "max_steps": 4}, optimizer=RESTLESS)
    succeed("train", config)
    best, pointer = best_step(scored_run), scored_run.output / "checkpoints/best"
    other = next(step for step in steps_of(scored_run) if step != best)
    pointer.unlink()
    pointer.symlink_to(f"step_{other:08}")
    succeed("train", config)
    assert best_step(scored_run) == best


def test_every_so_many_steps_are_kept(scored_run):
    changes = {"data": {"eval": []}, "train": {"max_steps": 9}}
    succeed("train", scored_run.config(**changes, checkpoint={"save_steps": 1, "save_total_limit": 2, "keep_every": 3}))
    assert steps_of(scored_run) == [3, 6, 8, 9]


def test_a_metric_that_no_evaluation_has_is_refused(scored_run):
    says = ["train.metric_for_best_model", "eval_bleu", "eval_loss", "eval_rewards/accuracies"]
    refuse("train", scored_run.config(train={"metric_for_best_model": "bleu"}), says=says)
    assert not scored_run.output.exists()

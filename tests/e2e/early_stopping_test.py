"""train.early_stopping: a run whose evaluations no longer get better ends as if it had been as long from the beginning."""

import json
import math
import shutil
import signal
import time

import pytest
from checkpoints import load_checkpoint, tensor_bytes
from jobs import PATIENCE, read_metrics, refuse, start, step_metrics, succeed, without_timing

NUM_STEPS = 24
# The loss on held-out pairs falls, rises, falls and rises again, by the numbers of this very run.
RESTLESS = {"learning_rate": 0.02, "lr_scheduler_type": "constant", "warmup_steps": 0}


@pytest.fixture
def restless_run(scored_run):
    scored_run.sections["optimizer"] = RESTLESS
    scored_run.sections["train"] = {"eval_steps": 1, "max_steps": NUM_STEPS}
    scored_run.sections["checkpoint"] = {"save_steps": 100}
    return scored_run


def config_of(run, folder, early_stopping, **changes):
    changes.setdefault("train", {})["early_stopping"] = early_stopping
    return run.config(output={"directory": str(folder)}, **changes)


def evaluations(folder):
    return [line for line in read_metrics(folder) if "eval_loss" in line]


def expected_stop(evaluated, patience, threshold, key="eval_loss"):
    """The step at which transformers' EarlyStoppingCallback ends a run with these evaluations; None: at its planned end."""
    sign = 1 if key.endswith("loss") else -1
    best, waited = math.inf, 0
    for line in evaluated:
        value = sign * line[key]
        waited = 0 if best == math.inf or (value < best and abs(value - best) > threshold) else waited + 1
        best = min(best, value)
        if waited >= patience:
            return line["step"]
    return None


@pytest.fixture(scope="module")
def whole_metrics():
    """What a run without the rule left, by the metric that it is judged by: the same for all rules."""
    return {}


@pytest.mark.parametrize(("patience", "threshold", "metric"), [
    (1, 0, "eval_loss"),
    (5, 0, "eval_loss"),
    (6, 0, "eval_loss"),
    (6, 0.03, "eval_loss"),
    (2, 0, "eval_rewards/margins"),
    (12, 0, "eval_loss"),
])  # fmt: skip
def test_ends_where_transformers_would(restless_run, tmp_path, whole_metrics, patience, threshold, metric):
    restless_run.sections["train"]["metric_for_best_model"] = metric
    if metric not in whole_metrics:
        succeed("train", config_of(restless_run, tmp_path / "whole", None))
        whole_metrics[metric] = without_timing(read_metrics(tmp_path / "whole"))
    done = succeed("train", config_of(restless_run, tmp_path / "cut", {"patience": patience, "threshold": threshold}))
    whole, cut = whole_metrics[metric], without_timing(read_metrics(tmp_path / "cut"))
    stop = expected_stop([line for line in whole if "eval_loss" in line], patience, threshold, metric)
    assert cut == [line for line in whole if stop is None or line["step"] <= stop]
    assert ("stopped early" in done.stderr) == (stop is not None)
    if stop is None:
        assert len(step_metrics(tmp_path / "cut")) == NUM_STEPS
        return
    best = (min if metric.endswith("loss") else max)(evaluations(tmp_path / "cut"), key=lambda line: line[metric])
    assert f"stopped early after step {stop} of {NUM_STEPS}" in done.stderr
    assert f"none of {patience} evaluations in a row was better by more than {threshold} in {metric}" in done.stderr
    assert f"the best is {metric} {best[metric]:.6g} after step {best['step']}" in done.stderr
    checkpoints = tmp_path / "cut/checkpoints"
    assert (checkpoints / "latest").readlink().name == f"step_{stop:08}"
    assert (checkpoints / "best").readlink().name == f"step_{best['step']:08}"


def test_the_cases_above_differ(restless_run):
    succeed("train", restless_run.config())
    lines = evaluations(restless_run.output)
    stops = [expected_stop(lines, patience, threshold) for patience, threshold in ((5, 0), (6, 0), (6, 0.03), (12, 0))]
    assert None not in stops[:3] and len(set(stops)) == 4, stops


def test_the_learning_rate_keeps_its_planned_length(restless_run, tmp_path):
    restless_run.sections["optimizer"] = {"learning_rate": 0.02, "lr_scheduler_type": "linear", "warmup_steps": 0}
    succeed("train", config_of(restless_run, tmp_path / "cut", {"patience": 2}))
    rates = [line["learning_rate"] for line in step_metrics(tmp_path / "cut")]
    assert len(rates) < NUM_STEPS
    assert rates == pytest.approx([0.02 * (1 - step / NUM_STEPS) for step in range(len(rates))])


@pytest.mark.parametrize(("ranks", "num_lines"), [(1, 2), (1, 12), (2, 7)])
def test_interrupted_and_resumed_it_ends_where_it_would_have(restless_run, tmp_path, ranks, num_lines):
    """Every interruption falls on a step that an evaluation is due after."""
    rule = {"patience": 6}
    succeed("train", config_of(restless_run, tmp_path / "whole", rule, parallel={"data": ranks}), ranks=ranks)
    config = config_of(restless_run, tmp_path / "cut", rule, parallel={"data": ranks})
    for _ in range(5):  # on a busy machine the run may be done before the signal comes
        if interrupt_after(num_lines, start("train", config, ranks=ranks), tmp_path / "cut"):
            break
        shutil.rmtree(tmp_path / "cut")
    else:
        pytest.fail("five interrupts have come after the run's end")
    done = succeed("train", config, ranks=ranks)
    assert "stopped early after step 15 of" in done.stderr
    assert without_timing(read_metrics(tmp_path / "cut")) == without_timing(read_metrics(tmp_path / "whole"))
    for pointer in ("latest", "best"):
        cut, whole = (tmp_path / name / "checkpoints" / pointer for name in ("cut", "whole"))
        assert cut.readlink() == whole.readlink()
        assert tensor_bytes(cut) == tensor_bytes(whole)
        assert load_checkpoint(cut)[0]["trainer_state"] == load_checkpoint(whole)[0]["trainer_state"]


def interrupt_after(num_lines, job, folder):
    """Interrupts a training once its metrics have that many lines; whether that came before its end."""
    metrics = folder / "metrics.jsonl"
    while not metrics.exists() or metrics.read_text().count("\n") < num_lines:
        assert job.poll() in (None, 0), job.stderr.read()
        time.sleep(0.001)
    job.send_signal(signal.SIGINT)
    code = job.wait(PATIENCE)
    if code == 0:
        return False
    assert code == 130, job.stderr.read()
    newest = max((folder / "checkpoints").glob("step_*"))
    assert load_checkpoint(newest)[0]["trainer_state"]["owes_evaluation"]
    return True


def test_started_again_it_says_so_and_does_nothing(restless_run, tmp_path):
    folder = tmp_path / "cut"
    config = config_of(restless_run, folder, {"patience": 5})
    succeed("train", config)
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "run.json"}
    done = succeed("train", config)
    assert f"stopped early after step 7 of {NUM_STEPS}" in done.stderr
    assert {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "run.json"} == before


@pytest.mark.parametrize("rule", [{"patience": 6}, {"patience": 5, "threshold": 0.03}, None], ids=str)
def test_another_rule_may_let_it_go_on(restless_run, tmp_path, rule):
    folder = tmp_path / "cut"
    succeed("train", config_of(restless_run, folder, {"patience": 5}))
    assert len(step_metrics(folder)) == 7
    done = succeed("train", config_of(restless_run, folder, rule))
    assert "changed since: train.early_stopping" in done.stderr
    # With another threshold counting begins anew.
    assert len(step_metrics(folder)) == {None: NUM_STEPS, 6: 15, 5: 12}[rule and rule["patience"]]


def test_the_trainer_state_says_where_a_run_stands(restless_run):
    changes = {"optimizer": {"lr_scheduler_type": "linear"}, "data": {"shuffle": False}}
    config = restless_run.config(train={"early_stopping": {"patience": 8}, "max_steps": 8, "seed": 3}, checkpoint={"save_steps": 5}, **changes)
    succeed("train", config)
    lines = read_metrics(restless_run.output)
    state = load_checkpoint(restless_run.output / "checkpoints/step_00000008")[0]["trainer_state"]
    best = min(evaluations(restless_run.output), key=lambda line: line["eval_loss"])
    # An epoch of 24 pairs has 6 steps.
    assert state["epoch"] == pytest.approx(lines[-1]["epoch"]) == pytest.approx(8 / 6)
    assert state["num_pairs"] == 32 and state["num_tokens"] == step_metrics(restless_run.output)[-1]["num_tokens"]
    assert state["best"] == {"metric": "eval_loss", "value": pytest.approx(best["eval_loss"]), "step": best["step"]}
    assert state["early_stopping"]["num_evaluations_without_improvement"] == 8 - best["step"]
    assert state["sampler"] == {"seed": 3, "shuffle": False, "global_batch_size": 4, "epoch": 1, "batch": 2}
    assert state["schedule"] == {"lr_scheduler_type": "linear", "learning_rate": 0, "num_steps": 8}
    earlier = load_checkpoint(restless_run.output / "checkpoints/step_00000005")[0]["trainer_state"]["schedule"]
    assert earlier["learning_rate"] == pytest.approx(step_metrics(restless_run.output)[5]["learning_rate"])


@pytest.mark.parametrize(("rule", "says"), [
    ({"patience": 0}, ["train.early_stopping.patience", "at least 1, got 0"]),
    ({"patience": 1.5}, ["train.early_stopping.patience", "a whole number", "got 1.5"]),
    ({"threshold": -0.1}, ["train.early_stopping.threshold", "at least 0, got -0.1"]),
    ({"patience": None}, ["train.early_stopping.patience", "a whole number", "got null"]),
    ({"patince": 2}, ["train.early_stopping.patince", "did you mean train.early_stopping.patience?"]),
    (3, ["train.early_stopping", "a map of keys, or null, got 3"]),
    (True, ["train.early_stopping", "a map of keys, or null, got true"]),
], ids=json.dumps)  # fmt: skip
def test_a_bad_rule_is_refused(run, rule, says):
    refuse("train", run.config(train={"early_stopping": rule}), says=["run.yaml:", *says])
    assert not run.output.exists()


def test_without_an_evaluation_set_it_is_refused(run):
    refuse("check", run.config(train={"early_stopping": {}}, data={"eval": []}), says=["train.early_stopping", "data.eval"])
    done = succeed("check", run.config(), "--set", "train.early_stopping.patience=2")
    assert "early_stopping:\n    patience: 2\n    threshold: 0.0" in done.stdout

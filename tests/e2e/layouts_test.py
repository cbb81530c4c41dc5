"""The program at other layouts: the same numbers, checkpoints that fit them all, and degrees that do not fit."""

import json
import signal
import time
import xml.etree.ElementTree as ElementTree

import h5py
import pytest
from checkpoints import load_weights
from jobs import BINARY, PATIENCE, TIMING, read_metrics, refuse, running, start, step_metrics, succeed
from model_folders import make_llama
from safetensors.torch import load_file

LAYOUTS = {
    "tensor": {"tensor": 2},
    "pipeline": {"pipeline": 2, "schedule": "zbv", "virtual_stages": 2},
    "data_tensor": {"data": 2, "tensor": 2},
    "data_without_zero": {"data": 3, "zero_stage": 0},
    "data_gradients_divided": {"data": 3, "zero_stage": 2},
    "pipeline_tensor": {"pipeline": 2, "tensor": 2, "schedule": "interleaved", "virtual_stages": 2},
}
ELEMENT_BYTES = 8
HIDDEN_SIZE = 48
PART_ELEMENTS = 64


def num_ranks(parallel) -> int:
    return parallel.get("data", 1) * parallel.get("pipeline", 1) * parallel.get("tensor", 1)


@pytest.fixture(scope="session")
def deeper_model(tmp_path_factory):
    return make_llama(tmp_path_factory.mktemp("deeper"), num_hidden_layers=4)


@pytest.fixture
def exact_run(run, deeper_model):
    """In float64, where layouts differ by the order of sums alone."""
    run.sections["model"] = {"path": str(deeper_model), "dtype": "float64"}
    run.sections["optimizer"] |= {"lr_scheduler_type": "constant", "warmup_steps": 0}
    return run


def assert_same_metrics(got, expected):
    assert [line["step"] for line in got] == [line["step"] for line in expected]
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.keys() == theirs.keys()
        # In step 1 the policy is the reference: which of two equal rewards is larger is the last bit's word.
        undecided = {"rewards/accuracies"} if ours["step"] == 1 else set()
        for name in ours.keys() - TIMING - undecided:
            assert ours[name] == pytest.approx(theirs[name], rel=1e-12, abs=1e-12), (ours["step"], name)


def train(run, output, parallel, **changes):
    config = run.config(parallel=parallel, output={"directory": str(output)}, **changes)
    succeed("train", config, ranks=num_ranks(parallel))
    return read_metrics(output)


def assert_same_weights(got, expected):
    first, second = load_weights(got), load_weights(expected)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert (tensor - second[name]).norm() <= 1e-12 * second[name].norm(), name


def read_store(path):
    with h5py.File(path) as store:
        return {name: store[name][:] for name in store}


def test_a_store_is_the_same_wherever_it_was_scored(exact_run, tmp_path):
    stores = {}
    for name, parallel in {"alone": {}, **LAYOUTS}.items():
        config = exact_run.config(parallel=parallel, reference={"store": str(tmp_path / f"{name}.h5")})
        succeed("reference", config, ranks=num_ranks(parallel))
        stores[name] = read_store(tmp_path / f"{name}.h5")
    alone = stores.pop("alone")
    assert alone["chosen_logps"].size > 0
    for name, store in stores.items():
        assert store.keys() == alone.keys()
        for column, values in alone.items():
            assert store[column] == pytest.approx(values, rel=1e-12, abs=1e-12), (name, column)


@pytest.mark.parametrize("parallel", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_scores_training_evaluation_and_checkpoint_are_those_of_one_rank(exact_run, tmp_path, parallel):
    # The store is scored at this layout and serves both: step 0 is checked against it.
    succeed("reference", exact_run.config(parallel=parallel), ranks=num_ranks(parallel))
    alone = train(exact_run, tmp_path / "alone", {})
    together = train(exact_run, tmp_path / "together", parallel)
    assert_same_metrics(together, alone)
    last = "checkpoints/latest"
    assert_same_weights(tmp_path / "together" / last, tmp_path / "alone" / last)
    config = exact_run.config(parallel=parallel, output={"directory": str(tmp_path / "alone")})
    evaluated = json.loads(succeed("evaluate", config, ranks=num_ranks(parallel)).stdout)
    for name, value in [line for line in alone if "eval_loss" in line][-1].items():
        if name not in TIMING | {"epoch"}:
            assert evaluated[name] == pytest.approx(value, rel=1e-12, abs=1e-12), name


def test_a_run_goes_on_at_another_layout(exact_run, tmp_path):
    succeed("reference", exact_run.config(), ranks=2)
    whole = train(exact_run, tmp_path / "whole", {})
    cut = tmp_path / "cut"
    train(exact_run, cut, LAYOUTS["tensor"], train={"max_steps": 2})
    resumed = train(exact_run, cut, LAYOUTS["data_tensor"])
    assert_same_metrics([line for line in resumed if "loss" in line], [line for line in whole if "loss" in line])
    succeed("export", exact_run.config(output={"directory": str(cut)}), "--output", tmp_path / "exported")
    # In the dtype of the model folder, float32: the checkpoint of four ranks, rounded.
    exported = load_file(tmp_path / "exported" / "model.safetensors")
    weights = load_weights(tmp_path / "whole" / "checkpoints/latest")
    assert exported.keys() == weights.keys()
    for name, tensor in exported.items():
        assert (tensor.double() - weights[name]).norm() <= 1e-7 * weights[name].norm(), name


def test_ctrl_c_stops_all_ranks_after_a_step_and_the_run_goes_on(exact_run, tmp_path):
    succeed("reference", exact_run.config())
    whole = train(exact_run, tmp_path / "whole", LAYOUTS["pipeline_tensor"], train={"num_train_epochs": 3})
    cut = tmp_path / "cut"
    config = exact_run.config(
        parallel=LAYOUTS["pipeline_tensor"], output={"directory": str(cut)}, train={"num_train_epochs": 3}
    )
    job = start("train", config, ranks=4)
    while not (cut / "metrics.jsonl").exists() or not step_metrics(cut):
        assert job.poll() is None, job.stderr.read()
        time.sleep(0.01)
    job.send_signal(signal.SIGINT)
    assert job.wait(PATIENCE) == 130
    assert not running(BINARY, config)
    assert len(step_metrics(cut)) < 18
    succeed("train", config, ranks=4)
    assert_same_metrics(step_metrics(cut), [line for line in whole if "loss" in line])


@pytest.mark.parametrize(
    ("parallel", "ranks", "says"),
    [
        ({"tensor": 4}, 4, ["parallel.tensor: 4", "6 attention heads", "1, 2, 6"]),
        ({"pipeline": 5}, 5, ["parallel.pipeline", "5 stages", "4 layers"]),
        ({"data": 3}, 4, ["parallel.data: 3", "4 ranks"]),
        ({"pipeline": 2}, 3, ["parallel.pipeline: 2", "a multiple of 2 ranks"]),
        ({"pipeline": 2, "schedule": "zbv"}, 2, ["parallel.virtual_stages", "expected 2", "zbv"]),
        ({"pipeline": 2, "virtual_stages": 2}, 2, ["parallel.virtual_stages", "expected 1", "1f1b"]),
        ({"pipeline": 2, "layers_per_stage": [1, 2]}, 2, ["parallel.layers_per_stage: [1, 2]", "sum 3", "sum 4"]),
        ({"pipeline": 2, "layers_per_stage": [1, 2, 1]}, 2, ["parallel.layers_per_stage", "2 stages", "got 3"]),
        ({"schedule": "zb1p"}, 1, ["parallel.schedule", "zb_h1"]),
    ],
)
def test_degrees_that_do_not_fit_say_what_would(exact_run, parallel, ranks, says):
    config = exact_run.config(parallel=parallel)
    for verb in ("check", "plan"):
        refuse(verb, config, "--ranks", str(ranks), says=says)
    if "6 attention heads" in says or "5 stages" in says:  # what only the model tells; train must say so before it writes
        refuse("train", config, ranks=ranks, says=says)
    assert not exact_run.output.exists()


def test_a_plan_shows_stages_and_draws_the_schedule(exact_run, tmp_path):
    exact_run.sections["data"] = {"train": "nowhere.h5"}
    picture = tmp_path / "schedule.svg"
    config = exact_run.config(parallel=LAYOUTS["pipeline_tensor"])
    done = succeed("plan", config, "--ranks", "8", "--microbatches", "6", "--schedule-svg", picture)
    assert "ranks: 8 = data 2 x pipeline 2 x tensor 2" in done.stdout
    assert "stage 3 on pipeline rank 1" in done.stdout and "bubble" in done.stdout
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")


def test_a_trace_has_every_rank_action_and_byte(exact_run, tmp_path):
    parallel = {"data": 2, "pipeline": 2, "schedule": "zb_h1"}
    succeed("reference", exact_run.config())
    trace_file = tmp_path / "trace.json"
    metrics = train(exact_run, tmp_path / "out", parallel, runtime={"trace": str(trace_file)}, train={"max_steps": 3},
                    data={"eval": []})  # fmt: skip
    trace = json.loads(trace_file.read_text())
    events = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert {event["pid"] for event in events} == {0, 1, 2, 3}
    kinds = {event["name"].split(" ")[0] for event in events if event["cat"] == "pipeline"}
    messages = {"send_activation", "receive_activation", "send_gradient", "receive_gradient"}
    assert kinds == {"forward", "input_gradient", "weight_gradient"} | messages
    reduced = [entry for entry in trace["communication"] if (entry["group"], entry["operation"]) == ("data", "reduce_scatter")]
    assert {entry["calls"] for entry in reduced} == {3}
    elements = sum(tensor.numel() for tensor in load_weights(tmp_path / "out/checkpoints/latest").values())
    # Two data ranks: of each stage's gradients either sends the half that is not its own, filled up to whole parts.
    fill = 2 * 2 * PART_ELEMENTS
    sent_elements = sum(entry["sent_bytes"] for entry in reduced) / ELEMENT_BYTES / 3
    assert elements <= sent_elements < elements + fill
    # Each token's row crosses between the stages once, and its gradient once.
    pipeline = [entry for entry in trace["communication"] if entry["group"] == "pipeline"]
    rows = metrics[-1]["num_tokens"]
    assert sum(entry["sent_bytes"] for entry in pipeline) == 2 * rows * HIDDEN_SIZE * ELEMENT_BYTES

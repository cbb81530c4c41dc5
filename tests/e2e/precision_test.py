"""bfloat16 from end to end: near float32, checked at step 0, and resumed without losing a digit."""

import math

import pytest
import torch
from checkpoints import load_weights, tensor_bytes
from jobs import refuse, step_metrics, succeed, without_timing
from transformers import AutoModelForCausalLM

LAYOUTS = [{}, {"data": 2, "zero_stage": 2}, {"tensor": 2}, {"pipeline": 2, "schedule": "zb_h1"}]


def num_ranks(parallel):
    return parallel.get("data", 1) * parallel.get("tensor", 1) * parallel.get("pipeline", 1)


@pytest.fixture
def narrow_run(run, score):
    run.sections["model"]["dtype"] = "bfloat16"
    score(run)
    return run


def test_every_layout_passes_the_check_of_step_0_and_stays_near_float32(narrow_run, tmp_path):
    def train(name, ranks=1, **changes):
        succeed("train", narrow_run.config(output={"directory": str(tmp_path / name)}, **changes), ranks=ranks)
        return step_metrics(tmp_path / name)

    wide = train("wide", model={"dtype": "float32"}, reference={"dtype": "bfloat16"})
    for index, parallel in enumerate(LAYOUTS):
        narrow = train(f"narrow{index}", num_ranks(parallel), parallel=parallel)
        assert narrow[0]["loss"] == pytest.approx(math.log(2), abs=0.02)
        for ours, theirs in zip(narrow, wide, strict=True):
            assert ours["loss"] == pytest.approx(theirs["loss"], abs=0.03), parallel
            assert ours["logps/chosen"] == pytest.approx(theirs["logps/chosen"], rel=0.01), parallel
            assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=0.1), parallel


@pytest.mark.parametrize("parallel", [*LAYOUTS[:3], {"data": 2, "zero_stage": 0}], ids=str)
def test_a_checkpoint_has_the_master_weights_and_goes_on_with_them(narrow_run, tmp_path, parallel):
    def train(name, **limits):
        config = narrow_run.config(
            parallel=parallel,
            train=limits,
            optimizer={"lr_scheduler_type": "constant", "warmup_steps": 0},
            output={"directory": str(tmp_path / name)},
        )
        succeed("train", config, ranks=num_ranks(parallel))

    train("whole")
    train("cut", max_steps=2)
    train("cut")
    last = "checkpoints/step_00000006"
    masters = load_weights(tmp_path / "whole" / last)
    assert {tensor.dtype for tensor in masters.values()} == {torch.float32}
    assert any(not torch.equal(tensor, tensor.bfloat16().float()) for tensor in masters.values())
    assert without_timing(step_metrics(tmp_path / "cut")) == without_timing(step_metrics(tmp_path / "whole"))
    assert tensor_bytes(tmp_path / "cut" / last) == tensor_bytes(tmp_path / "whole" / last)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_any_dtype_is_exported_from_the_master_weights(narrow_run, tmp_path, dtype):
    config = narrow_run.config(train={"max_steps": 2})
    succeed("train", config)
    succeed("export", config, "--output", tmp_path / "exported", "--dtype", dtype)
    masters = load_weights(narrow_run.output / "checkpoints/latest")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "exported", dtype="auto")
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == getattr(torch, dtype)
        if name in masters:
            assert torch.equal(tensor, masters[name].to(tensor.dtype)), name


@pytest.mark.parametrize(("first", "second"), [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_a_run_goes_on_in_another_precision_from_the_same_master_weights(run, tmp_path, first, second):
    def config_of(dtype, folder, **changes):
        return run.config(model={"dtype": dtype}, reference={"dtype": "float32"}, output={"directory": str(tmp_path / folder)}, **changes)

    succeed("reference", config_of(first, "whole"))
    succeed("train", config_of(first, "whole", train={"max_steps": 3}))
    succeed("train", config_of(first, "cut", train={"max_steps": 2}))
    # An update that is too small for any weight: what is saved again is what was loaded.
    still = {"learning_rate": 1e-30, "lr_scheduler_type": "constant", "warmup_steps": 0}
    changed = config_of(second, "cut", train={"max_steps": 3}, optimizer=still, parallel={"data": 2})
    refuse("train", changed, ranks=2, says=f"model.dtype: {first} there, {second} now")
    succeed("train", changed, "--allow-change", "model.dtype", ranks=2)
    before, after = (load_weights(tmp_path / f"cut/checkpoints/step_{step:08}") for step in (2, 3))
    for name, tensor in before.items():
        assert tensor.dtype == after[name].dtype == torch.float32
        assert torch.equal(tensor, after[name]), name
    assert any(not torch.equal(tensor, tensor.bfloat16().float()) for tensor in before.values())
    whole, cut = (step_metrics(tmp_path / folder) for folder in ("whole", "cut"))
    assert [line["num_tokens"] for line in cut] == [line["num_tokens"] for line in whole]

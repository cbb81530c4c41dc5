"""docs/formats.md is true: its snippets run, as they stand there, on files that the store has just written."""

import json
import os
import re
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch
from transformers import AutoModelForCausalLM
from xxhash import xxh3_128_hexdigest

ROOT = Path(__file__).resolve().parents[3]
SNIPPETS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/formats.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    binary = Path(os.environ["COLLIMATE_BUILD"]) / "tests/unit/store/store_samples"
    facts = subprocess.run([binary, folder], check=True, capture_output=True, text=True).stdout
    (folder / "facts.json").write_text(facts)
    return folder


def facts_of(samples: Path) -> dict[str, str]:
    return json.loads((samples / "facts.json").read_text())


def run_snippet(mark: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **names: object) -> dict[str, object]:
    """Runs the one snippet that contains `mark` inside `folder`; gives its variables."""
    (snippet,) = [text for text in SNIPPETS if mark in text]
    monkeypatch.chdir(folder)
    scope = {"h5py": h5py, "json": json, "np": np, "xxh3_128_hexdigest": xxh3_128_hexdigest} | names
    exec(snippet, scope)
    return scope


def test_preference_file_reads_as_documented(samples, monkeypatch, capsys):
    run_snippet("train.h5", samples, monkeypatch, i=1)
    assert capsys.readouterr().out == "[6 7 8] 1.0\n"


def test_reference_store_reads_as_documented(samples, monkeypatch, capsys):
    scope = run_snippet("reference.h5", samples, monkeypatch)
    assert [part.tolist() for part in scope["tokens"]] == [[-1.5, 0.0]]
    assert "[-1.5] (1, 2)" in capsys.readouterr().out
    assert scope["f"].attrs["format"] == b"collimate.reference"
    assert scope["f"].attrs["weights_fingerprint"] == b"0123"
    assert scope["f"].attrs["microbatch_tokens"] == 4096
    assert all(dataset.fletcher32 for dataset in scope["f"].values())


def test_weights_fingerprint_is_as_documented(samples, monkeypatch, capsys):
    run_snippet("line = lambda", samples / "model", monkeypatch)
    assert capsys.readouterr().out.strip() == facts_of(samples)["weights_fingerprint"]


def test_config_fingerprint_is_as_documented(samples):
    config = json.loads((samples / "model/config.json").read_text())
    for key in ("dtype", "torch_dtype", "transformers_version", "_name_or_path", "use_cache"):
        config.pop(key, None)
    text = json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert xxh3_128_hexdigest(text.encode()) == facts_of(samples)["config_fingerprint"]


def test_metrics_read_as_documented(tmp_path, monkeypatch, capsys):
    (tmp_path / "out/run1").mkdir(parents=True)
    (tmp_path / "out/run1/metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n{"step": 1, "eval_loss": 0.4}\n')
    run_snippet("metrics.jsonl", tmp_path, monkeypatch)
    assert capsys.readouterr().out == "[0.5]\n"


def test_checkpoint_verifies_and_loads_as_documented(samples, monkeypatch):
    names = {"torch": torch, "load_file": safetensors.torch.load_file}
    scope = run_snippet("def load_checkpoint", samples / "step", monkeypatch, **names)
    manifest, groups = scope["load_checkpoint"](samples / "step")
    assert manifest["step"] == 7
    weights = groups["model"]
    assert torch.equal(weights["a.weight"], torch.arange(24.0).view(4, 6) + 7)
    assert weights["b.bias"].dtype == torch.bfloat16 and weights["b.bias"].shape == (3,)
    assert torch.equal(groups["exp_avg"]["a.weight"], weights["a.weight"].double().t())


@pytest.mark.parametrize(("folder", "dtype"), [("model", torch.float32), ("sharded", torch.bfloat16)])
def test_exported_folder_loads_in_transformers(samples, folder, dtype):
    model, report = AutoModelForCausalLM.from_pretrained(samples / folder, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.dtype == dtype
    stored = safetensors.torch.load_file(samples / "model/model.safetensors")
    for name, value in model.state_dict().items():
        assert torch.equal(value, stored[name].to(dtype)), name


def test_every_snippet_is_covered():
    assert len(SNIPPETS) == 5

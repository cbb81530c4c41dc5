"""Model folders as people have them: weights that contradict the config file, adapters, other formats."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from dpo_loop import pair_logps, read_rows, token_logps
from jobs import collimate, read_metrics, refuse, succeed
from model_folders import VOCAB_SIZE, make_llama
from pairs import pair_id, random_pairs, rows_of
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

TIED = "tie_word_embeddings: true, but the weights have an lm_head.weight unlike model.embed_tokens.weight"


def change_config(folder: Path, **values) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def tied_with(folder: Path, own_head: bool) -> Path:
    """A config file that ties the head, and weights that have a head: the embedding's copy, or another."""
    make_llama(folder, tie_word_embeddings=not own_head)
    change_config(folder, tie_word_embeddings=True)
    tensors = load_file(folder / "model.safetensors")
    tensors.setdefault("lm_head.weight", tensors["model.embed_tokens.weight"].clone())
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[str, Path]:
    parent = tmp_path_factory.mktemp("tied")
    return {name: tied_with(parent / name, own_head=name == "own_head") for name in ("own_head", "copy")}


@pytest.fixture
def own_head_run(run, folders):
    run.sections["model"]["path"] = str(folders["own_head"])
    return run


@pytest.mark.parametrize("parallel", [{}, {"tensor": 2}, {"pipeline": 2}], ids=str)
@pytest.mark.parametrize("name", ["own_head", "copy"])
def test_scores_are_those_of_transformers_at_any_layout(run, folders, name, parallel):
    run.sections["model"]["path"] = str(folders[name])
    done = succeed("reference", run.config(parallel=parallel), ranks=2 if parallel else 1)
    assert done.stderr.count(TIED) == (name == "own_head")
    model = AutoModelForCausalLM.from_pretrained(folders[name])
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == (name == "copy")
    rows = rows_of(run.store)
    for pair in random_pairs(24, VOCAB_SIZE, seed=1):
        prompt, *responses = (torch.tensor(part) for part in (pair.prompt, pair.chosen, pair.rejected))
        with torch.no_grad():
            theirs = [token_logps(model, prompt, response).double().sum().item() for response in responses]
        assert rows[pair_id(pair)] == pytest.approx(theirs, rel=1e-5)


def test_a_head_of_its_own_is_planned_trained_resumed_and_exported(own_head_run, tmp_path):
    run = own_head_run
    folder = Path(run.sections["model"]["path"])
    plain = tmp_path / "plain"
    shutil.copytree(folder, plain)
    change_config(plain, tie_word_embeddings=False)
    checks = [succeed("check", run.config(model={"path": str(path)})) for path in (folder, plain)]
    sizes = [[line for line in done.stdout.splitlines() if "parameters" in line or "GiB" in line or "MiB" in line] for done in checks]
    assert sizes[0] == sizes[1] and sizes[0]
    assert [done.stderr.count(TIED) for done in checks] == [1, 0]
    assert succeed("plan", run.config(), "--ranks", "1").stderr.count(TIED) == 1

    succeed("reference", run.config())
    # The same weights and computation: the store that the flagged folder gave serves the other.
    assert "has every pair already" in succeed("reference", run.config(model={"path": str(plain)})).stderr
    run.is_trained = True
    assert succeed("train", run.config(train={"max_steps": 2}), ranks=2).stderr.count(TIED) == 1
    succeed("train", run.config(train={"max_steps": 4}, parallel={"pipeline": 2}), ranks=2)
    assert read_metrics(run.output)[-1]["step"] == 4
    trained = json.loads(succeed("evaluate", run.config()).stdout)

    exported = tmp_path / "exported"
    succeed("export", run.config(), "--output", exported)
    weights = load_file(exported / "model.safetensors")
    assert not torch.equal(weights["lm_head.weight"], weights["model.embed_tokens.weight"])
    assert json.loads((exported / "config.json").read_text())["tie_word_embeddings"] is False
    model = AutoModelForCausalLM.from_pretrained(exported)
    rows = read_rows(run.folder / "eval.h5")
    with torch.no_grad():
        values = [row["weight"] * pair_logps(model, row)[0].item() for row in rows]
    assert sum(values) / sum(row["weight"] for row in rows) == pytest.approx(trained["eval_logps/chosen"], rel=1e-5)


def test_a_copy_of_the_embedding_changes_nothing(run, folders, tmp_path):
    run.sections["model"]["path"] = str(make_llama(tmp_path / "plain", tie_word_embeddings=True))
    succeed("reference", run.config())
    before = run.store.read_bytes()
    run.sections["model"]["path"] = str(folders["copy"])
    done = succeed("reference", run.config())
    assert "has every pair already" in done.stderr and "tie_word_embeddings" not in done.stderr
    assert run.store.read_bytes() == before


@pytest.fixture
def spoilt(run, model_folder):
    """A copy of the model to spoil."""
    folder = run.folder / "model"
    shutil.copytree(model_folder, folder)
    run.sections["model"]["path"] = str(folder)
    return folder


def adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "some/base", "r": 4}))
    save_file({"base_model.model.model.norm.lora_A.weight": torch.zeros(4, 48)}, folder / "adapter_model.safetensors")


def merged_with_adapter(folder: Path) -> list[str]:
    adapter(folder)
    return ["full weights and an adapter", "some/base", "move adapter_config.json"]


def adapter_alone(folder: Path) -> list[str]:
    adapter(folder)
    (folder / "model.safetensors").unlink()
    return ["is no model but a PEFT adapter", "some/base", "merge_and_unload"]


def unmerged_names(folder: Path) -> list[str]:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.0.self_attn.q_proj.lora_A.weight"] = torch.zeros(4, 48)
    save_file(tensors, folder / "model.safetensors")
    return ["unexpected: model.layers.0.self_attn.q_proj.lora_A.weight", "not merged"]


def quantized_config(folder: Path) -> list[str]:
    change_config(folder, quantization_config={"quant_method": "gptq", "bits": 4})
    return ["quantization_config", "gptq", "the weights are quantized"]


def quantized_tensors(folder: Path) -> list[str]:
    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.0.mlp.up_proj"
    del tensors[f"{name}.weight"]
    tensors |= {f"{name}.qweight": torch.zeros(6, 80, dtype=torch.int32), f"{name}.scales": torch.ones(1, 80)}
    save_file(tensors, folder / "model.safetensors")
    return [f"unexpected: {name}.", "quantized", "and 1 more like it", f"missing: {name}.weight"]


def pickles(folder: Path) -> list[str]:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return ["pytorch_model.bin", "pickle", "save_pretrained"]


def gguf(folder: Path) -> list[str]:
    (folder / "model.safetensors").rename(folder / "model-Q8_0.gguf")
    return ["model-Q8_0.gguf", "GGUF"]


@pytest.mark.parametrize(
    "spoil", [merged_with_adapter, adapter_alone, unmerged_names, quantized_config, quantized_tensors, pickles, gguf]
)
def test_a_folder_of_another_kind_is_told_by_name(run, spoilt, spoil):
    says = spoil(spoilt)
    for verb in ("check", "train"):
        refuse(verb, run.config(), says=[str(spoilt), *says], ranks=2 if verb == "train" else 1)
    assert not run.output.exists()


def test_a_file_and_a_name_on_the_hub_are_told_from_folders(run, spoilt):
    refuse("reference", run.config(model={"path": f"{spoilt}/model.safetensors"}), says=["is not a folder", f"is in: {spoilt}"])
    done = collimate("check", run.config(model={"path": "meta-llama/Llama-3.2-1B"}), cwd=run.folder)
    assert done.returncode == 2 and "hf download meta-llama/Llama-3.2-1B --local-dir" in done.stderr

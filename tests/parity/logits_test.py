"""Logits and log-probs of the C++ decoder against transformers, for every family and option.

In float64 the reference needs two changes, or it would itself be no better than float32: RMSNorm classes of
transformers compute in float32 whatever the model's dtype, so their forward is replaced by one that keeps the dtype; and
attention is `sdpa`, because the eager path takes its softmax in float32. RoPE tables stay as transformers makes them:
float32, then cast.
"""

import functools
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from model_cases import CASES, VOCAB_SIZE, Case
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

PROBE = Path(os.environ["COLLIMATE_BUILD"]) / "tests" / "parity" / "logits_probe"
LENGTHS = [(9, 23, 14), (1, 4, 31), (16, 1, 1)]  # prompt, chosen, rejected
NUM_ROPE_POSITIONS = 3000
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}

Pair = dict[str, list[int]]


def make_pairs() -> list[Pair]:
    generator = torch.Generator().manual_seed(5)
    parts = ("prompt", "chosen", "rejected")
    return [
        {part: torch.randint(VOCAB_SIZE, (length,), generator=generator).tolist() for part, length in zip(parts, lengths)}
        for lengths in LENGTHS
    ]


def make_model(case: Case) -> PreTrainedModel:
    """Every parameter random, biases and norms too, and large enough for outputs that are far from uniform."""
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(case.config(), attn_implementation="sdpa")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.normal_(1.0, 0.3)
            else:
                parameter.normal_(0.0, 0.25)
    return model.eval()


@functools.cache
def probe() -> subprocess.Popen:
    """One process for all cases, since starting it takes longer than a case; it ends with its input."""
    return subprocess.Popen([PROBE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def run_probe(folder: Path, pairs: list[Pair], output: Path) -> dict[str, torch.Tensor]:
    request = output.with_suffix(".json")
    request.write_text(json.dumps({"pairs": pairs, "num_rope_positions": NUM_ROPE_POSITIONS}))
    print(folder, request, output, file=probe().stdin, flush=True)
    assert probe().stdout.readline() == "done\n"
    return load_file(output)


def keep_dtype(self, hidden_states: torch.Tensor) -> torch.Tensor:
    variance = hidden_states.pow(2).mean(-1, keepdim=True)
    return self.weight * (hidden_states * torch.rsqrt(variance + self.variance_epsilon))


def in_dtype(model: PreTrainedModel, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> PreTrainedModel:
    if dtype == torch.float64:
        norm_classes = {type(module) for module in model.modules() if type(module).__name__.endswith("RMSNorm")}
        assert norm_classes, "the reference has RMSNorm modules to correct"
        for norm_class in norm_classes:
            monkeypatch.setattr(norm_class, "forward", keep_dtype)
    return model.to(dtype)


@torch.no_grad()
def reference_logits(model: PreTrainedModel, sequence: list[int]) -> torch.Tensor:
    return model(torch.tensor([sequence])).logits[0]


def reference_log_probs(logits: torch.Tensor, sequence: list[int], num_prompt: int) -> torch.Tensor:
    table = logits.double().log_softmax(-1)[num_prompt - 1 : -1]
    return table.gather(1, torch.tensor(sequence[num_prompt:])[:, None])[:, 0]


def stream_rows(pair: Pair, shared: bool, begin: int) -> tuple[list[int], list[int], int]:
    """Stream rows of prompt + chosen, of prompt + rejected, and where the next pair begins."""
    prompt, chosen, rejected = (len(pair[part]) for part in ("prompt", "chosen", "rejected"))
    first = list(range(begin, begin + prompt + chosen))
    end = begin + prompt + chosen
    if shared:
        return first, first[:prompt] + list(range(end, end + rejected)), end + rejected
    return first, list(range(end, end + prompt + rejected)), end + prompt + rejected


def assert_close(got: torch.Tensor, expected: torch.Tensor, tolerance: float, what: str) -> None:
    assert got.shape == expected.shape, what
    difference = (got.double() - expected.double()).abs().max().item() / expected.abs().max().item()
    assert difference <= tolerance, f"{what}: relative difference {difference:.2e}"


def compare(model: PreTrainedModel, pairs: list[Pair], results: dict[str, torch.Tensor], key: str) -> None:
    tolerance = TOLERANCE[key.split(".")[0]]
    begin, response_index, token_index = 0, 0, 0
    for pair in pairs:
        *rows_of_responses, begin = stream_rows(pair, key.endswith("shared"), begin)
        for rows, response in zip(rows_of_responses, (pair["chosen"], pair["rejected"])):
            sequence = pair["prompt"] + response
            logits = reference_logits(model, sequence)
            log_probs = reference_log_probs(logits, sequence, len(pair["prompt"]))
            where = f"{key}, response {response_index}"
            assert_close(results[f"{key}.logits"][rows], logits, tolerance, f"logits of {where}")
            tokens = results[f"{key}.tokens"][token_index : token_index + len(response)]
            assert_close(tokens, log_probs, tolerance, f"token log-probs of {where}")
            total = results[f"{key}.sums"][response_index]
            assert_close(total, log_probs.sum(), tolerance, f"log-prob of {where}")
            response_index += 1
            token_index += len(response)
    assert (begin, response_index) == (len(results[f"{key}.logits"]), len(results[f"{key}.sums"]))


def compare_all(model: PreTrainedModel, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    pairs = make_pairs()
    results = run_probe(folder, pairs, folder.parent / "results.safetensors")
    for name in TOLERANCE:
        reference = in_dtype(model, getattr(torch, name), monkeypatch)
        for layout in ("shared", "apart"):
            compare(reference, pairs, results, f"{name}.{layout}")
    return results


def spell_as_transformers_4(config: dict) -> dict:
    """The same configuration with the keys of transformers 4."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    config["torch_dtype"] = config.pop("dtype")
    if "max_window_layers" in config and config["layer_types"] == sorted(config["layer_types"]):
        del config["layer_types"]  # Older files have only max_window_layers.
    return config


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_outputs_equal_transformers(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    model = make_model(case)
    model.save_pretrained(folder)
    results = compare_all(model, folder, monkeypatch)

    positions = torch.arange(NUM_ROPE_POSITIONS)[None]
    cos, sin = model.model.rotary_emb(torch.zeros(1, dtype=torch.float32), positions)
    half = cos.shape[-1] // 2
    assert torch.equal(results["rope.cos"], cos[0, :, :half])
    assert torch.equal(results["rope.sin"], sin[0, :, :half])

    config_path = folder / "config.json"
    config_path.write_text(json.dumps(spell_as_transformers_4(json.loads(config_path.read_text()))))
    respelled = run_probe(folder, make_pairs(), tmp_path / "respelled.safetensors")
    for name, value in results.items():
        assert torch.equal(respelled[name], value), f"{name} in the spelling of transformers 4"


def find_case(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", ["llama_all", "qwen3_tied", "mistral_plain"])
def test_shards_of_every_dtype_equal_transformers(
    name: str, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    make_model(find_case(name)).to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size="30KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    assert (folder / "model.safetensors.index.json").exists()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()
    compare_all(model, folder, monkeypatch)


def own_head(tensors: dict[str, torch.Tensor]) -> None:
    tensors["lm_head.weight"] = torch.randn(tensors["model.embed_tokens.weight"].shape) / 4


def equal_head(tensors: dict[str, torch.Tensor]) -> None:
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()


def head_alone(tensors: dict[str, torch.Tensor]) -> None:
    tensors["lm_head.weight"] = tensors.pop("model.embed_tokens.weight")


@pytest.mark.parametrize("store_head", [own_head, equal_head, head_alone])
@pytest.mark.parametrize("name", ["llama_tied", "mistral_tied", "qwen2_tied", "qwen3_tied"])
def test_a_stored_head_means_what_transformers_takes_it_for(
    name: str, store_head: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever tie_word_embeddings of config.json says."""
    folder = tmp_path / "model"
    make_model(find_case(name)).save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    assert "lm_head.weight" not in tensors
    torch.manual_seed(4)
    store_head(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()
    is_tied = model.lm_head.weight is model.model.embed_tokens.weight
    assert is_tied == (store_head is not own_head)
    compare_all(model, folder, monkeypatch)


def test_the_comparison_sees_a_small_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    model = make_model(find_case("llama_plain"))
    model.save_pretrained(folder)
    with torch.no_grad():
        model.model.layers[1].self_attn.k_proj.weight[3, 5] += 1e-2
    with pytest.raises(AssertionError, match="relative difference"):
        compare_all(model, folder, monkeypatch)

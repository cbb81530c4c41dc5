"""The golden numbers' generator: DPO and SFT by transformers and torch.optim.AdamW, one unpadded response at a time.

It shares nothing with Collimate but the definitions of docs: run by the tests, or by hand to print the numbers:
    PYTHONPATH=tests/support .venv/bin/python tests/support/dpo_loop.py --model FOLDER --preferences FILE.h5 --dtype float64
"""

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pairs import read_pairs
from torch.nn.functional import logsigmoid
from transformers import AutoModelForCausalLM, get_scheduler
from transformers.models.llama.modeling_llama import LlamaRMSNorm


@dataclass
class Settings:
    losses: dict[str, float] = field(default_factory=lambda: {"sigmoid": 1.0})
    beta: float = 0.1
    label_smoothing: float = 0.0
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    max_grad_norm: float = 1.0
    batch_size: int = 8
    num_steps: int = 20
    warmup_steps: int = 3


def norm_in_own_dtype(self, hidden_states):
    """RMSNorm without transformers' detour through float32, which would hide float64."""
    variance = hidden_states.pow(2).mean(-1, keepdim=True)
    return self.weight * (hidden_states * torch.rsqrt(variance + self.variance_epsilon))


def load_model(folder: Path, dtype: torch.dtype):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")
    if dtype == torch.float64:
        for module in model.modules():
            if isinstance(module, LlamaRMSNorm):
                module.forward = norm_in_own_dtype.__get__(module)
    return model


def read_rows(path: Path) -> list[dict]:
    return [
        {
            "parts": [torch.tensor(part) for part in (pair.prompt, pair.chosen, pair.rejected)],
            "labels": [torch.tensor(labels, dtype=torch.bool) for labels in pair.response_labels],
            "label": pair.label,
            "weight": pair.weight,
        }
        for pair in read_pairs(path)
    ]


def token_logps(model, prompt: torch.Tensor, response: torch.Tensor) -> torch.Tensor:
    logits = model(input_ids=torch.cat([prompt, response])[None]).logits[0]
    predicted = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return predicted.gather(1, response[:, None])[:, 0]


def response_logp(model, prompt: torch.Tensor, response: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The sum over the tokens of the response that are labelled; the model reads all of it."""
    return token_logps(model, prompt, response)[labels].double().sum()


def pair_logps(model, row: dict) -> tuple[torch.Tensor, torch.Tensor]:
    prompt, *responses = row["parts"]
    chosen, rejected = (response_logp(model, prompt, *response) for response in zip(responses, row["labels"], strict=True))
    return chosen, rejected


def batch_loss(model, batch: list[dict], reference: dict, settings: Settings) -> torch.Tensor:
    """Backpropagates pair by pair and returns the loss of the batch."""
    weight_sum = sum(row["weight"] for row in batch)
    token_sum = sum(row["weight"] * row["labels"][0].sum().item() for row in batch)
    total = 0.0
    for row in batch:
        chosen, rejected = pair_logps(model, row)
        ref_chosen, ref_rejected = reference[id(row)]
        z = settings.beta * ((chosen - ref_chosen) - (rejected - ref_rejected))
        p = row["label"] * (1 - settings.label_smoothing) + (1 - row["label"]) * settings.label_smoothing
        sigmoid = -p * logsigmoid(z) - (1 - p) * logsigmoid(-z)
        parts = {"sigmoid": sigmoid / weight_sum, "sft": -chosen / token_sum}
        loss = row["weight"] * sum(share * parts[name] for name, share in settings.losses.items())
        loss.backward()
        total += loss.item()
    return total


def batches(rows: list[dict], settings: Settings):
    """File order, epoch after epoch, the last batch of an epoch partial."""
    while True:
        for begin in range(0, len(rows), settings.batch_size):
            yield rows[begin : begin + settings.batch_size]


def golden_steps(folder: Path, preferences: Path, dtype: torch.dtype, settings: Settings) -> list[dict]:
    """loss and grad_norm of each step."""
    rows = read_rows(preferences)
    model = load_model(folder, dtype)
    with torch.no_grad():
        reference = {id(row): pair_logps(model, row) for row in rows}
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    scheduler = get_scheduler("linear", optimizer, settings.warmup_steps, settings.num_steps)
    steps = []
    for _, batch in zip(range(settings.num_steps), batches(rows, settings)):
        optimizer.zero_grad()
        loss = batch_loss(model, batch, reference, settings)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()
        scheduler.step()
        steps.append({"loss": loss, "grad_norm": norm.item()})
    return steps


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--preferences", type=Path, required=True)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    options = parser.parse_args()
    for step in golden_steps(options.model, options.preferences, getattr(torch, options.dtype), Settings()):
        print(json.dumps(step))

"""Tiny model folders with random weights, made by transformers, and tokenizers that fit them."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

VOCAB_SIZE = 96


def write_tokenizer(folder: Path, marker: str = "<s>") -> None:
    """A whole-word tokenizer with VOCAB_SIZE tokens; another `marker` makes another tokenizer."""
    vocabulary = {marker: 0, "</s>": 1, "<unk>": 2} | {f"w{i}": i for i in range(3, VOCAB_SIZE)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))


def make_llama(folder: Path, seed: int = 1, **options) -> Path:
    """A two-layer Llama whose weights are large enough for outputs that are far from uniform."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE,
        **{
            "hidden_size": 48,
            "intermediate_size": 80,
            "num_hidden_layers": 2,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "initializer_range": 0.1,
        }
        | options,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    write_tokenizer(folder)
    return folder

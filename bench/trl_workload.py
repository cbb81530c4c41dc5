"""What the comparisons train on: a random Llama of 15.7M parameters, random pairs of known lengths."""

import json
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCAB_SIZE = 8192
PROMPT_TOKENS = (30, 60)
RESPONSE_TOKENS = (300, 460)


def write_model(folder: Path) -> None:
    """The tokenizer has a word for every id: text of words is a list of ids."""
    vocab = {"<bos>": 0, "<eos>": 1} | {f"w{i}": i for i in range(2, VOCAB_SIZE)}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<eos>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<eos>")
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE, hidden_size=384, intermediate_size=1024, num_hidden_layers=6, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=1024, tie_word_embeddings=False, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)


def write_text(path: Path, num_pairs: int) -> None:
    """Lengths are uniform in their ranges, so 45 prompt and 380 response tokens on average."""
    rng = random.Random(0)

    def words(bounds: tuple[int, int]) -> str:
        return " ".join(f"w{rng.randrange(2, VOCAB_SIZE)}" for _ in range(rng.randint(*bounds)))

    with path.open("w") as file:
        for _ in range(num_pairs):
            row = {"prompt": words(PROMPT_TOKENS), "chosen": words(RESPONSE_TOKENS), "rejected": words(RESPONSE_TOKENS)}
            file.write(json.dumps(row) + "\n")

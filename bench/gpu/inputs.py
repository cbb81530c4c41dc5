"""What the GPU benchmark runs on: random models, and made-up pairs of the lengths that real ones have."""

import json
import random
import subprocess
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TOOLS = Path(__file__).resolve().parents[2] / "tools"
NUM_WORDS = 8000
# Tokens: 1,235 a pair on average, prompt included once.
PROMPT_TOKENS = (40, 490)
RESPONSE_TOKENS = (440, 530)
SMALL = {"vocab_size": 8192, "hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 4,
         "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": False}  # fmt: skip
# Llama 3.2 1B's shape.
LARGE = {"vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
         "num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": True}  # fmt: skip


def write_model(folder: Path, shape: dict, dtype: torch.dtype, **options) -> None:
    if folder.exists():
        return
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        torch.set_default_dtype(dtype)
        model = LlamaForCausalLM(
            LlamaConfig(**shape, max_position_embeddings=4096, rope_theta=500000.0, bos_token_id=0, eos_token_id=1,
                        pad_token_id=1, **options)
        )  # fmt: skip
        torch.set_default_dtype(torch.float32)
    vocab = {"<bos>": 0, "<eos>": 1} | {f"w{i}": i for i in range(2, NUM_WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<eos>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<eos>"
    ).save_pretrained(folder)
    model.cpu().save_pretrained(folder)


def write_pairs(path: Path, model: Path, num_pairs: int) -> None:
    """By the project's own tool."""
    if path.exists():
        return
    rng = random.Random(0)

    def words(bounds: tuple[int, int]) -> str:
        return " ".join(f"w{rng.randrange(2, NUM_WORDS)}" for _ in range(rng.randint(*bounds)))

    text = path.with_suffix(".jsonl")
    with text.open("w") as file:
        for _ in range(num_pairs):
            row = {
                "prompt": words(PROMPT_TOKENS) + " ",
                "chosen": words(RESPONSE_TOKENS),
                "rejected": words(RESPONSE_TOKENS),
            }
            file.write(json.dumps(row) + "\n")
    command = [sys.executable, str(TOOLS / "tokenize_preferences.py"), "--model", str(model), "--input", str(text),
               "--output", str(path), "--max-length", "1024", "--overlong", "cut_response"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[1]}: {done.stderr[-800:]}")

"""A byte-pair tokenizer of the demo's own, and the description of a Llama of about 5M parameters.

Together they are a Hugging Face folder without weights: `collimate train` starts from random ones.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from .command_line import command_line
from .files import read_jsonl, write_bytes, write_json

BOS, EOS = "<bos>", "<eos>"
VOCAB_SIZE = 4096
MAX_LENGTH = 128

MODEL = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "hidden_act": "silu",
    "max_position_embeddings": MAX_LENGTH,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "initializer_range": 0.02,
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "torch_dtype": "float32",
}

TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": BOS,
    "eos_token": EOS,
    "pad_token": EOS,
    "padding_side": "left",
    "clean_up_tokenization_spaces": False,
    "model_max_length": MAX_LENGTH,
}


def train_tokenizer(texts: Iterable[str], vocab_size: int = VOCAB_SIZE) -> Tokenizer:
    """Byte-level, so that every text has tokens; puts BOS before a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = [BOS, EOS]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    bos = (BOS, tokenizer.token_to_id(BOS))
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[bos])
    return tokenizer


def main(arguments: list[str]) -> None:
    parser = command_line("model", __doc__)
    parser.add_argument("--text", type=Path, required=True, metavar="FILE.jsonl", help="text to learn from")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parsed = parser.parse_args(arguments)
    tokenizer = train_tokenizer(row["prompt"] + row["chosen"] for row in read_jsonl(parsed.text))
    description = json.loads(tokenizer.to_str())
    write_bytes(parsed.output / "tokenizer.json", json.dumps(description, ensure_ascii=False, indent=1).encode())
    write_json(parsed.output / "tokenizer_config.json", TOKENIZER_CONFIG)
    write_json(parsed.output / "config.json", MODEL)
    print(f"{tokenizer.get_vocab_size()} tokens")

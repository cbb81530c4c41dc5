"""Model folders with small tokenizers, trained on the spot, and rows to feed them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from preferences.chunk_encoder import ChunkEncoder, EncodedChunk
from preferences.input_files import LineChunk
from preferences.model_text import ModelText
from preferences.options import EncodingOptions
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CORPUS = [
    "The sky is blue and the grass is green. The sea is deep.",
    "What color is the sky? It is blue. What color is the grass? It is green.",
    "user assistant system: answer the question, and be kind.",
]


def save_model(folder: Path, tokenizer: Tokenizer, template: str | None = None, **special_tokens: str) -> Path:
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(special_tokens | {"tokenizer_class": "PreTrainedTokenizerFast"})
    )
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return folder


def trained(tokenizer: Tokenizer, texts: list[str], special_tokens: list[str], vocab_size: int = 400) -> Tokenizer:
    alphabet = (
        pre_tokenizers.ByteLevel.alphabet() if isinstance(tokenizer.pre_tokenizer, pre_tokenizers.ByteLevel) else []
    )
    options = {"initial_alphabet": alphabet, "special_tokens": special_tokens, "show_progress": False}
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=vocab_size, **options))
    return tokenizer


def byte_level_tokenizer(special_tokens: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return trained(tokenizer, CORPUS, special_tokens)


def chatml_model(folder: Path) -> Path:
    """Adds no BOS by itself, ends turns with <|im_end|>."""
    tokenizer = byte_level_tokenizer(["<s>", "<|im_start|>", "<|im_end|>"])
    return save_model(folder, tokenizer, CHATML, bos_token="<s>", eos_token="<|im_end|>")


def bare_model(folder: Path) -> Path:
    """Neither BOS, nor EOS, nor a template."""
    return save_model(folder, byte_level_tokenizer([]))


def prefix_space_model(folder: Path, kind: str) -> Path:
    """Puts BOS and a space before a text, as SentencePiece's tokenizers do: `kind` is how."""
    tokenizer = Tokenizer(models.BPE())
    if kind == "prepend":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer = trained(tokenizer, CORPUS, ["<s>", "</s>"], 200)
    front = [("<s>", tokenizer.token_to_id("<s>"))]
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A $B", front)
    return save_model(folder, tokenizer, bos_token="<s>", eos_token="</s>")


def merging_model(folder: Path, template: str | None = None) -> Path:
    """Knows no words: "abcd" and "=yes" are each one token, and so are their halves."""
    tokenizer = trained(
        Tokenizer(models.BPE()), ["ab", "cd", "yes", "abcd", "abcd", "=yes", "=yes", "assistant user ;"], []
    )
    return save_model(folder, tokenizer, template)


def encode(model: Path, *rows: dict[str, Any], max_length: int = 1000, **options: Any) -> EncodedChunk:
    """What a worker makes of these rows of train.jsonl."""
    lines = [json.dumps(row).encode() for row in rows]
    return encoder(model, max_length, **options).encode(LineChunk("train.jsonl", "train", 1, lines, 0))


def encoder(model: Path, max_length: int = 1000, **options: Any) -> ChunkEncoder:
    """As a worker builds it."""
    chosen = EncodingOptions(model, max_length, **options)
    return ChunkEncoder(chosen, ModelText.load(model, chosen.template.file))


def pairs_of(chunk: EncodedChunk) -> Iterator[tuple[list[int], list[int], list[int]]]:
    """Prompt, chosen and rejected ids of each pair."""
    begin = 0
    for lengths in chunk.lengths.tolist():
        parts = []
        for length in lengths:
            parts.append(chunk.tokens[begin : begin + length].tolist())
            begin += length
        yield tuple(parts)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}

"""Model folders with a small tokenizer of each kind that people use: what differs is where each puts spaces and BOS."""

import json
from collections.abc import Callable
from pathlib import Path

from model_folders import CHATML, CORPUS, save_model
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "[INST]", "[/INST]", "<pad>"]
_TEXT = [
    *CORPUS,
    "Human: Is it raining?\n\nAssistant: Yes, I'm sure that there was rain; no.\n",
    "Don't! 12 words, 345 numbers.",
]
_SPLIT = Regex(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _bpe(pre_tokenizer, normalizer=None, vocab_size: int = 420) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    is_bytes = "ByteLevel" in str(pre_tokenizer)
    alphabet = pre_tokenizers.ByteLevel.alphabet() if is_bytes else []
    tokenizer.decoder = decoders.ByteLevel() if is_bytes else decoders.Metaspace()
    options = {"initial_alphabet": alphabet, "special_tokens": SPECIAL, "show_progress": False}
    tokenizer.train_from_iterator(_TEXT, trainers.BpeTrainer(vocab_size=vocab_size, **options))
    return tokenizer


def _with_bos(tokenizer: Tokenizer) -> Tokenizer:
    front = [("<s>", tokenizer.token_to_id("<s>"))]
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A $B", front)
    return tokenizer


def _sentence_piece() -> Tokenizer:
    """The vocabulary of Llama's kind: its class sets up all else."""
    return _bpe(pre_tokenizers.Metaspace(prepend_scheme="always"))


def _prepended() -> Tokenizer:
    """As Llama 2's tokenizer.json: no pre-tokenizer, the space mark comes from normalizers."""
    tokenizer = _sentence_piece()
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = None
    return _with_bos(tokenizer)


def _unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        _TEXT, trainers.UnigramTrainer(vocab_size=150, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    )
    return tokenizer


def _word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(
        _TEXT, trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIAL, show_progress=False)
    )
    return tokenizer


def _split_bytes() -> Tokenizer:
    split = pre_tokenizers.Split(_SPLIT, behavior="isolated")
    return _with_bos(
        _bpe(pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]))
    )


_Kind = tuple[Callable[[], Tokenizer], dict]
KINDS: dict[str, _Kind] = {
    "bytes": (lambda: _bpe(pre_tokenizers.ByteLevel(add_prefix_space=False)), {}),
    "bytes with a prefix space": (lambda: _bpe(pre_tokenizers.ByteLevel(add_prefix_space=True)), {}),
    "Llama 3": (_split_bytes, {}),
    "Qwen 2": (lambda: _bpe(pre_tokenizers.ByteLevel(add_prefix_space=False)), {"tokenizer_class": "Qwen2Tokenizer"}),
    "GPT 2": (lambda: _bpe(pre_tokenizers.ByteLevel(add_prefix_space=False)), {"tokenizer_class": "GPT2Tokenizer"}),
    "Llama 2, legacy": (_sentence_piece, {"tokenizer_class": "LlamaTokenizer", "legacy": True}),
    "Llama 2": (_sentence_piece, {"tokenizer_class": "LlamaTokenizer", "legacy": False}),
    "Llama 2 without a prefix space": (
        _sentence_piece,
        {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False},
    ),
    "Gemma": (_sentence_piece, {"tokenizer_class": "GemmaTokenizer"}),
    "prepended": (_prepended, {}),
    "first piece": (lambda: _with_bos(_bpe(pre_tokenizers.Metaspace(prepend_scheme="first"))), {}),
    "unigram": (_unigram, {}),
    "word pieces": (_word_piece, {}),
}

_INST = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
_PLAIN = (
    "{% for m in messages %}{{ 'Human: ' if m.role == 'user' else 'Assistant: ' }}{{ m.content | trim }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant: {% endif %}"
)
TEMPLATES = {"marks": CHATML, "instructions": _INST, "plain text": _PLAIN}


def kind_of_model(folder: Path, kind: str, template: str) -> Path:
    build, config = KINDS[kind]
    model = save_model(
        folder, build(), TEMPLATES[template], bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    path = model / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return model

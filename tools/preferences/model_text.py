"""The text side of a model folder: tokenizer, special tokens, chat template."""

import copy
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import xxhash
from tokenizers import Tokenizer

from .errors import InputError, shown


@dataclass(frozen=True)
class ModelText:
    """Everything of a Hugging Face folder that decides which ids a text becomes."""

    folder: Path
    tokenizer_bytes: bytes
    chat_template: str | None
    special_tokens: dict[str, str]  # bos_token, eos_token, ... as a template sees them

    @staticmethod
    def load(folder: Path) -> "ModelText":
        """Throws InputError when a file is missing or unreadable."""
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder: a model folder with tokenizer.json")
        file = folder / "tokenizer.json"
        if not file.is_file():
            raise InputError(
                f"{file}: missing: save the tokenizer in this form (a fast tokenizer's save_pretrained does)"
            )
        config = _read_json(folder / "tokenizer_config.json")
        special_tokens = _special_tokens(_read_json(folder / "special_tokens_map.json")) | _special_tokens(config)
        return ModelText(folder, file.read_bytes(), _chat_template(folder, config), special_tokens)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """As tokenizer.json has it, but without its own truncation and padding."""
        return self._build(self._tokenizer_json)

    @cached_property
    def continuation_tokenizer(self) -> Tokenizer:
        """For text that continues other text: without the space that some tokenizers put before the first word."""
        description = without_prefix_space(self._tokenizer_json)
        return self.tokenizer if description == self._tokenizer_json else self._build(description)

    @cached_property
    def front_ids(self) -> list[int]:
        """What the tokenizer itself puts before a text: usually BOS or nothing."""
        plain = self.tokenizer.encode("a", add_special_tokens=False).ids
        whole = self.tokenizer.encode("a", add_special_tokens=True).ids
        starts = [i for i in range(len(whole)) if whole[i : i + len(plain)] == plain]
        return whole[: starts[0]] if starts else []

    @cached_property
    def bos_id(self) -> int | None:
        """The id that stands for an empty prompt."""
        return self.front_ids[0] if self.front_ids else self._special_id("bos_token")

    @cached_property
    def eos_id(self) -> int | None:
        return self._special_id("eos_token")

    @property
    def vocab_size(self) -> int:
        """The largest id + 1: ids may have gaps."""
        return max(self.tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    @property
    def tokenizer_fingerprint(self) -> str:
        return xxhash.xxh3_128_hexdigest(self.tokenizer_bytes)

    @property
    def chat_template_fingerprint(self) -> str:
        return xxhash.xxh3_128_hexdigest((self.chat_template or "").encode())

    @cached_property
    def _tokenizer_json(self) -> dict[str, Any]:
        try:
            return json.loads(self.tokenizer_bytes)
        except ValueError as error:
            raise InputError(f"{self.folder / 'tokenizer.json'}: not JSON: {error}") from None

    def _build(self, description: dict[str, Any]) -> Tokenizer:
        try:
            tokenizer = Tokenizer.from_str(json.dumps(description))
        except Exception as error:  # the library raises nothing more specific
            raise InputError(f"{self.folder / 'tokenizer.json'}: not a tokenizer: {error}") from None
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def _special_id(self, name: str) -> int | None:
        token = self.special_tokens.get(name)
        if token is None:
            return None
        token_id = self.tokenizer.token_to_id(token)
        if token_id is None:
            raise InputError(f"{self.folder}: {name}: {shown(token)}: a token of tokenizer.json")
        return token_id


def without_prefix_space(description: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer.json whose tokenizer adds no space to the beginning of a text."""
    result = copy.deepcopy(description)
    normalizers = _steps(result.get("normalizer"), "normalizers")
    for step in normalizers + _steps(result.get("pre_tokenizer"), "pretokenizers"):
        if step["type"] == "Metaspace":
            step["prepend_scheme"] = "never"
            step.pop("add_prefix_space", None)
        elif step["type"] == "ByteLevel":
            step["add_prefix_space"] = False
        elif step["type"] == "Prepend":
            step["prepend"] = ""
    return result


def _steps(step: dict[str, Any] | None, children: str) -> list[dict[str, Any]]:
    if step is None:
        return []
    return (
        [leaf for child in step[children] for leaf in _steps(child, children)] if step["type"] == "Sequence" else [step]
    )


def _read_json(file: Path) -> dict[str, Any]:
    """An absent file is an empty one."""
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise InputError(f"{file}: not JSON: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{file}: {shown(content)}: a JSON object")
    return content


def _special_tokens(config: dict[str, Any]) -> dict[str, str]:
    """Tokens are written as text or as {"content": text, ...}."""
    tokens = {}
    for name, value in config.items():
        text = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(text, str):
            tokens[name] = text
    return tokens


def _chat_template(folder: Path, config: dict[str, Any]) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        try:
            return file.read_bytes().decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{file}: not UTF-8: {error}") from None
    template = config.get("chat_template")
    if isinstance(template, list):  # several by name
        template = next((entry.get("template") for entry in template if entry.get("name") == "default"), None)
    return template if isinstance(template, str) else None

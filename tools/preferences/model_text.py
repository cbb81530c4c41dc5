"""The text side of a model folder: tokenizer, special tokens, chat template, as transformers loads them."""

import logging
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import xxhash
from tokenizers import Tokenizer

from .errors import InputError, shown


@dataclass(frozen=True)
class ModelText:
    """Everything of a Hugging Face folder that decides which ids a text becomes. Cheap to send to another process."""

    folder: Path
    # Of the bytes of tokenizer.json, as the trainer compares it; tokens depend on tokenizer_config.json too.
    tokenizer_fingerprint: str
    tokenizer_json: str  # as the folder's tokenizer class in transformers sets it up
    chat_templates: dict[str, str]  # by name; nearly always "default" alone
    special_tokens: dict[str, str]  # bos_token, eos_token, ... as a template sees them
    template_place: str  # where the default template was read
    chat_template_fingerprint: str  # of the template's text as it is stored, or of none
    folder_template_fingerprint: str | None  # of the folder's own, which a file may have been given for

    @staticmethod
    def load(folder: Path, template_file: Path | None = None) -> "ModelText":
        """Takes the text of `template_file` as chat template, if given. Throws InputError when a file is missing or
        unreadable."""
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder: a model folder with tokenizer.json")
        file = folder / "tokenizer.json"
        if not file.is_file():
            raise InputError(
                f"{file}: missing: save the tokenizer in this form (a fast tokenizer's save_pretrained does)"
            )
        stored, loaded = _stored_tokenizer(file), _load_tokenizer(folder)
        tokens = {name: token for name, token in loaded.special_tokens_map.items() if isinstance(token, str)}
        _require_known(folder, stored, tokens)
        templates = _templates(loaded.chat_template)
        own = chosen = _stored_template(folder, templates)
        if template_file is not None:
            chosen = _read_bytes(template_file)
            templates = {"default": _decoded(template_file, chosen)}
        return ModelText(
            folder,
            _fingerprint(file.read_bytes()),
            loaded.backend_tokenizer.to_str(),
            templates,
            tokens,
            str(template_file or folder),
            _fingerprint(chosen or b""),
            None if own is None else _fingerprint(own),
        )

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Without truncation and padding of its own."""
        tokenizer = Tokenizer.from_str(self.tokenizer_json)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def chat_template(self, with_tools: bool) -> str:
        """The template that transformers takes for a conversation. Throws InputError when there is none."""
        template = self.chat_templates.get("tool_use") if with_tools else None
        template = template or self.chat_templates.get("default")
        if template is None:
            raise InputError(
                f"{self.folder}: chat messages, but the folder has no chat template: --chat-template FILE gives one"
            )
        return template

    @cached_property
    def front_ids(self) -> list[int]:
        """What the tokenizer itself puts before a text: usually BOS or nothing."""
        return self._surrounding_ids[0]

    @cached_property
    def back_ids(self) -> list[int]:
        """What a plain text ends with: what the tokenizer itself puts there, else EOS if there is one."""
        back = self._surrounding_ids[1]
        return back if back or self.eos_id is None else [self.eos_id]

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

    @cached_property
    def _surrounding_ids(self) -> tuple[list[int], list[int]]:
        plain = self.tokenizer.encode("a", add_special_tokens=False).ids
        whole = self.tokenizer.encode("a", add_special_tokens=True).ids
        start = next((i for i in range(len(whole)) if whole[i : i + len(plain)] == plain), None)
        return ([], []) if start is None else (whole[:start], whole[start + len(plain) :])

    def _special_id(self, name: str) -> int | None:
        token = self.special_tokens.get(name)
        return None if token is None else self.tokenizer.token_to_id(token)


def _stored_tokenizer(file: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing more specific
        raise InputError(f"{file}: not a tokenizer: {error}") from None


def _require_known(folder: Path, stored: Tokenizer, special_tokens: dict[str, str]) -> None:
    for name in ("bos_token", "eos_token"):
        token = special_tokens.get(name)
        if token is not None and stored.token_to_id(token) is None:
            raise InputError(f"{folder}: {name}: {shown(token)}: a token of tokenizer.json")


def _load_tokenizer(folder: Path) -> Any:
    """The class that tokenizer_config.json names sets tokenizers up in ways that tokenizer.json does not say."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # nothing but the folder is looked at
    # Imported here, since it takes seconds.
    from transformers import AutoTokenizer
    from transformers.utils import logging as library_logging

    library_logging.set_verbosity(logging.ERROR)
    try:
        loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever the class runs into
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(f"{folder}: not a tokenizer that transformers can load: {reason}") from None
    if not loaded.is_fast:
        raise InputError(f"{folder}: {type(loaded).__name__}: a tokenizer that tokenizer.json describes")
    return loaded


def _templates(template: str | dict[str, str] | None) -> dict[str, str]:
    if template is None:
        return {}
    return {"default": template} if isinstance(template, str) else dict(template)


def _stored_template(folder: Path, templates: dict[str, str]) -> bytes | None:
    """The folder's template as it is stored: the library reads a file's ends of lines as line feeds."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return _read_bytes(file)
    return templates["default"].encode(errors="surrogatepass") if "default" in templates else None


def _fingerprint(content: bytes) -> str:
    return xxhash.xxh3_128_hexdigest(content)


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}: a file with a chat template") from None


def _decoded(file: Path, content: bytes) -> str:
    """Text with ends of lines as the library reads those of the folder's template."""
    try:
        return content.decode().replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8: {error}") from None

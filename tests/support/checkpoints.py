"""Checkpoints read by the script that docs/formats.md gives to strangers."""

import json
import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from xxhash import xxh3_128_hexdigest

FORMATS = Path(__file__).resolve().parents[2] / "docs/formats.md"
(SCRIPT,) = [text for text in re.findall(r"```python\n(.*?)```", FORMATS.read_text(), re.DOTALL) if "def load_checkpoint" in text]
SCOPE = {"json": json, "torch": torch, "load_file": load_file, "xxh3_128_hexdigest": xxh3_128_hexdigest}
exec(SCRIPT, SCOPE)


def load_checkpoint(folder: Path) -> tuple[dict, dict[str, dict[str, torch.Tensor]]]:
    """The manifest, and each group's tensors, whole; everything is verified."""
    return SCOPE["load_checkpoint"](Path(folder))


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder)[1]["model"]


def tensor_bytes(folder: Path) -> dict[str, bytes]:
    """The bytes of every rank's file."""
    return {path.name: path.read_bytes() for path in sorted(Path(folder).glob("rank_*.safetensors"))}

"""Preference files written with h5py alone, independently of tools/: token ids in, HDF5 out (docs/formats.md)."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import xxhash


@dataclass
class Pair:
    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    label: float = 1.0
    weight: float = 1.0
    # 0 or 1 for each token of the response; None: all tokens are labelled.
    is_chosen_labelled: list[int] | None = None
    is_rejected_labelled: list[int] | None = None

    @property
    def tokens(self) -> list[int]:
        return self.prompt + self.chosen + self.rejected

    @property
    def response_labels(self) -> tuple[list[int], list[int]]:
        chosen, rejected = self.is_chosen_labelled, self.is_rejected_labelled
        return chosen or [1] * len(self.chosen), rejected or [1] * len(self.rejected)


def random_pairs(count: int, vocab_size: int, seed: int, longest: int = 24) -> list[Pair]:
    """Pairs of uneven lengths with soft labels and uneven weights, a few of them hard and plain."""
    random = np.random.default_rng(seed)

    def tokens():
        return [int(token) for token in random.integers(3, vocab_size, random.integers(1, longest))]

    return [
        Pair(tokens(), tokens(), tokens(), label=float(np.float32(random.uniform())), weight=float(1 + i % 3))
        if i % 4
        else Pair(tokens(), tokens(), tokens())
        for i in range(count)
    ]


def label_some_tokens(pairs: list[Pair], seed: int) -> list[Pair]:
    """The pairs with labels for two of three: each response token's by chance, at least one of a response."""
    random = np.random.default_rng(seed)

    def labels(length):
        own = random.integers(0, 2, length)
        own[random.integers(length)] = 1
        return own.tolist()

    return [
        pair
        if i % 3 == 2
        else replace(pair, is_chosen_labelled=labels(len(pair.chosen)), is_rejected_labelled=labels(len(pair.rejected)))
        for i, pair in enumerate(pairs)
    ]


def label_all_tokens(pairs: list[Pair]) -> list[Pair]:
    """The pairs with labels that say of every response token what is so without them."""
    return [
        replace(pair, is_chosen_labelled=[1] * len(pair.chosen), is_rejected_labelled=[1] * len(pair.rejected))
        for pair in pairs
    ]


def pair_id(pair: Pair) -> tuple[int, int]:
    words = [len(pair.prompt), len(pair.chosen), len(pair.rejected), *pair.tokens]
    labels = sum(pair.response_labels, [])
    if not all(labels):
        words += labels
    digest = xxhash.xxh3_128_intdigest(np.array(words, "<u4").tobytes())
    return digest >> 64, digest & (1 << 64) - 1


def tokenizer_fingerprints(model_folder: Path) -> dict[str, str]:
    template = model_folder / "chat_template.jinja"
    return {
        "tokenizer_fingerprint": xxhash.xxh3_128_hexdigest((model_folder / "tokenizer.json").read_bytes()),
        "chat_template_fingerprint": xxhash.xxh3_128_hexdigest(template.read_bytes() if template.exists() else b""),
    }


def write_preferences(path: Path, pairs: list[Pair], model_folder: Path, vocab_size: int, **changes) -> Path:
    """Writes a preference file: one that labels the assistant's tokens where a pair has labels, else one that labels all.

    `changes` replaces datasets or root attributes by name, to make a bad one; None leaves one out.
    """
    is_assistant = any(pair.is_chosen_labelled for pair in pairs)
    counts = {"read": len(pairs), "written": len(pairs), "dropped": {}, "cut": {}}
    attributes = {
        "format": "collimate.preferences",
        "format_version": np.int64(2),
        "labelled": "assistant" if is_assistant else "all",
        "input_fingerprint": "0" * 32,
        "max_length": np.int64(4096),
        "overlong": "drop",
        "vocab_size": np.int64(vocab_size),
        "counts": json.dumps(counts),
    } | tokenizer_fingerprints(model_folder)
    sizes = [len(pair.tokens) for pair in pairs]
    datasets = {
        "tokens": np.array([token for pair in pairs for token in pair.tokens], "<u4"),
        "offsets": np.concatenate([[0], np.cumsum(sizes)]).astype("<u8"),
        "num_prompt_tokens": np.array([len(pair.prompt) for pair in pairs], "<u4"),
        "num_chosen_tokens": np.array([len(pair.chosen) for pair in pairs], "<u4"),
        "num_rejected_tokens": np.array([len(pair.rejected) for pair in pairs], "<u4"),
        "label": np.array([pair.label for pair in pairs], "<f4"),
        "weight": np.array([pair.weight for pair in pairs], "<f4"),
        "source": np.zeros(len(pairs), "<u2"),
        "pair_id": np.array([pair_id(pair) for pair in pairs], "<u8").reshape(-1, 2),
    }
    if is_assistant:
        labels = [pair.response_labels for pair in pairs]
        datasets |= {
            "is_labelled": np.concatenate(
                [[0] * len(pair.prompt) + chosen + rejected for pair, (chosen, rejected) in zip(pairs, labels)]
            ).astype("u1"),
            "num_labelled_chosen_tokens": np.array([sum(chosen) for chosen, _ in labels], "<u4"),
            "num_labelled_rejected_tokens": np.array([sum(rejected) for _, rejected in labels], "<u4"),
        }
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        for name, values in (datasets | {k: v for k, v in changes.items() if k in datasets}).items():
            if values is None:
                continue
            shape = (max(1, len(values)),) + values.shape[1:]
            file.create_dataset(name, data=values, maxshape=(None,) + values.shape[1:], chunks=shape, fletcher32=True)
        file.create_dataset("source_names", data=["test"], dtype=h5py.string_dtype())
        for name, value in (attributes | {k: v for k, v in changes.items() if k in attributes}).items():
            if value is not None:
                file.attrs[name] = value
    return path


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a preference file, whoever wrote it."""
    with h5py.File(path) as file:
        columns = {name: file[name][:] for name in file if name != "source_names"}
    pairs = []
    for i, begin in enumerate(columns["offsets"][:-1].astype(int)):
        prompt, chosen, rejected = (int(columns[f"num_{part}_tokens"][i]) for part in ("prompt", "chosen", "rejected"))
        extent = slice(begin, begin + prompt + chosen + rejected)
        tokens = columns["tokens"][extent].tolist()
        middle = prompt + chosen
        pair = Pair(tokens[:prompt], tokens[prompt:middle], tokens[middle:], float(columns["label"][i]), float(columns["weight"][i]))
        if "is_labelled" in columns:
            labels = columns["is_labelled"][extent].tolist()
            pair = replace(pair, is_chosen_labelled=labels[prompt:middle], is_rejected_labelled=labels[middle:])
        pairs.append(pair)
    return pairs


def rows_of(store: Path) -> dict[tuple[int, int], tuple[float, float]]:
    """Of a reference store, by pair id: the log-probs of the chosen and of the rejected response."""
    with h5py.File(store) as file:
        ids = [tuple(pair) for pair in file["pair_id"][:].tolist()]
        return dict(zip(ids, zip(file["chosen_logps"][:], file["rejected_logps"][:], strict=True), strict=True))

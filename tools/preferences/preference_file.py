"""The preference file: HDF5, appended chunk by chunk.

Every dataset is chunked with Fletcher32, metadata is in the checksummed format of HDF5 1.10, object times are off:
equal content is equal bytes, and a flipped bit is found on reading.
"""

import json
from dataclasses import dataclass
from typing import Any, Self

import h5py
import numpy as np

from .chunk_encoder import EncodedChunk
from .counts import Counts
from .errors import InputError
from .model_text import ModelText
from .options import EncodingOptions, Labelled
from .staged_file import StagedFile

_TOKENS_PER_CHUNK = 1 << 16
_PAIRS_PER_CHUNK = 1 << 12
_LARGEST_NUM_SOURCES = 1 << 16


@dataclass(frozen=True)
class Provenance:
    """What the root attributes say of where the tokens come from."""

    options: EncodingOptions
    model: ModelText
    input_fingerprint: str
    counts: Counts

    def attributes(self) -> dict[str, Any]:
        template = self.options.template
        arguments = {"tools": template.tools, "chat_template_kwargs": dict(template.kwargs)}
        # Only where it decides something: equal content is equal bytes.
        date = {"template_date": template.moment.isoformat()} if self.counts.writes_date else {}
        return date | {
            "format": "collimate.preferences",
            "format_version": np.int64(2),
            "labelled": self.options.labelled.value,
            "template_arguments": json.dumps(arguments, sort_keys=True),
            "tokenizer_fingerprint": self.model.tokenizer_fingerprint,
            "chat_template_fingerprint": self.model.chat_template_fingerprint,
            "input_fingerprint": self.input_fingerprint,
            "max_length": np.int64(self.options.max_length),
            "overlong": self.options.overlong.value,
            "vocab_size": np.int64(self.model.vocab_size),
            "counts": self.counts.to_json(),
        }


class PreferenceWriter:
    """Appends encoded chunks. The file is a preference file only after `finish`."""

    def __init__(self, staged: StagedFile, labelled: Labelled):
        self._staged = staged
        # No chunk cache: every chunk is written whole, and at once.
        self._file = h5py.File(staged, "w", libver=("v110", "v110"), track_times=False, rdcc_nbytes=0)
        self._columns = {
            "tokens": _Column(self._file, "tokens", "<u4", _TOKENS_PER_CHUNK),
            "offsets": _Column(self._file, "offsets", "<u8", _PAIRS_PER_CHUNK),
            "num_prompt_tokens": _Column(self._file, "num_prompt_tokens", "<u4", _PAIRS_PER_CHUNK),
            "num_chosen_tokens": _Column(self._file, "num_chosen_tokens", "<u4", _PAIRS_PER_CHUNK),
            "num_rejected_tokens": _Column(self._file, "num_rejected_tokens", "<u4", _PAIRS_PER_CHUNK),
            "label": _Column(self._file, "label", "<f4", _PAIRS_PER_CHUNK),
            "weight": _Column(self._file, "weight", "<f4", _PAIRS_PER_CHUNK),
            "source": _Column(self._file, "source", "<u2", _PAIRS_PER_CHUNK),
            "pair_id": _Column(self._file, "pair_id", "<u8", _PAIRS_PER_CHUNK, width=2),
        }
        if labelled is not Labelled.ALL:
            self._columns["is_labelled"] = _Column(self._file, "is_labelled", "u1", _TOKENS_PER_CHUNK)
            for name in ("num_labelled_chosen_tokens", "num_labelled_rejected_tokens"):
                self._columns[name] = _Column(self._file, name, "<u4", _PAIRS_PER_CHUNK)
        self._source_indices: dict[str, int] = {}
        self.num_tokens = 0
        self._columns["offsets"].append(np.zeros(1, np.uint64))

    def append(self, chunk: EncodedChunk) -> None:
        """Throws InputError when the disk is full, or there are too many sources."""
        ends = self.num_tokens + np.cumsum(chunk.lengths.sum(axis=1, dtype=np.uint64), dtype=np.uint64)
        self.num_tokens += len(chunk.tokens)
        prompt, chosen, rejected = chunk.lengths.T
        arrays = {
            "tokens": chunk.tokens,
            "offsets": ends,
            "num_prompt_tokens": prompt,
            "num_chosen_tokens": chosen,
            "num_rejected_tokens": rejected,
            "label": chunk.label,
            "weight": chunk.weight,
            "source": np.array([self._source_index(name) for name in chunk.sources], dtype=np.uint16),
            "pair_id": chunk.pair_id,
        }
        if chunk.is_labelled is not None:
            arrays |= {"is_labelled": chunk.is_labelled, **_labelled_counts(chunk)}
        for name, array in arrays.items():
            self._columns[name].append(array)
        self._staged.raise_failure()

    def finish(self, provenance: Provenance) -> None:
        """Writes what is still in memory and closes the file. Throws InputError when the disk is full."""
        for column in self._columns.values():
            column.finish()
        # Fixed length: strings of variable length would lie outside the checksum.
        names = np.array([name.encode() for name in self._source_indices])
        dtype = h5py.string_dtype("utf-8", names.dtype.itemsize)
        options = {"chunks": names.shape, "fletcher32": True, "track_times": False}
        self._file.create_dataset("source_names", data=names.astype(dtype), dtype=dtype, **options)
        for name, value in provenance.attributes().items():
            self._file.attrs[name] = value
        self._file.close()
        self._staged.raise_failure()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _source_index(self, name: str) -> int:
        index = self._source_indices.setdefault(name, len(self._source_indices))
        if index >= _LARGEST_NUM_SOURCES:
            raise InputError(f"source: {name}: more than {_LARGEST_NUM_SOURCES} different sources")
        return index


def _labelled_counts(chunk: EncodedChunk) -> dict[str, np.ndarray]:
    """How many tokens of each response count."""
    ends = np.cumsum(chunk.lengths.reshape(-1), dtype=np.int64)
    up_to = np.concatenate([[0], np.cumsum(chunk.is_labelled, dtype=np.int64)])
    of_parts = np.diff(up_to[np.concatenate([[0], ends])]).reshape(-1, 3).astype(np.uint32)
    return {"num_labelled_chosen_tokens": of_parts[:, 1], "num_labelled_rejected_tokens": of_parts[:, 2]}


class _Column:
    """One growing dataset. Written in whole chunks only, so that each is written once."""

    def __init__(self, file: h5py.File, name: str, dtype: str, chunk_rows: int, width: int | None = None):
        row = () if width is None else (width,)
        options = {"maxshape": (None, *row), "chunks": (chunk_rows, *row), "fletcher32": True, "track_times": False}
        self._dataset = file.create_dataset(name, shape=(0, *row), dtype=dtype, **options)
        self._chunk_rows = chunk_rows
        self._waiting: list[np.ndarray] = []
        self._num_waiting = 0

    def append(self, rows: np.ndarray) -> None:
        self._waiting.append(rows)
        self._num_waiting += len(rows)
        if self._num_waiting >= self._chunk_rows:
            self._write(self._num_waiting - self._num_waiting % self._chunk_rows)

    def finish(self) -> None:
        self._write(self._num_waiting)

    def _write(self, num_rows: int) -> None:
        rows = np.concatenate(self._waiting)
        begin = len(self._dataset)
        self._dataset.resize(begin + num_rows, axis=0)
        self._dataset[begin:] = rows[:num_rows]
        self._waiting = [rows[num_rows:]]
        self._num_waiting = len(rows) - num_rows

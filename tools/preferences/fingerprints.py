"""XXH3-128 over what decides a preference file's content."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xxhash

_BLOCK_BYTES = 1 << 22


def input_fingerprint(files: list[Path], check: Callable[[], None]) -> str:
    """Hash of the hashes of the files' bytes, in order; names do not enter. Calls `check` between blocks."""
    whole = xxhash.xxh3_128()
    for file in files:
        one = xxhash.xxh3_128()
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                one.update(block)
                check()
        whole.update(one.digest())
    return whole.hexdigest()


def pair_id(tokens: np.ndarray, lengths: tuple[int, int, int], is_labelled: np.ndarray | None) -> tuple[int, int]:
    """High and low half of the hash of the three counts, the tokens and, where some token of a response does not count,
    which of them do (None: all): all uint32 little-endian."""
    state = xxhash.xxh3_128(np.array(lengths, dtype="<u4").tobytes())
    state.update(tokens.astype("<u4", copy=False).tobytes())
    if is_labelled is not None and not is_labelled[lengths[0] :].all():
        state.update(is_labelled[lengths[0] :].astype("<u4").tobytes())
    return divmod(state.intdigest(), 1 << 64)

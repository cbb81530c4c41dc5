"""What a worker does: a chunk of raw rows in, the columns of a preference file out."""

from dataclasses import dataclass

import numpy as np

from .chat import ChatRenderer, PairText
from .counts import Counts, DropReason
from .encoding import PairEncoder
from .errors import Problem
from .fingerprints import pair_id
from .input_files import Chunk
from .length_policy import LengthPolicy, PairTokens
from .model_text import ModelText
from .options import EncodingOptions
from .prompts import part_row
from .rows import PreferenceRow, RowProblem, RowReader


@dataclass(frozen=True)
class EncodedChunk:
    """Pairs that are kept, in input order, and what became of the others. With `problems` the run is to stop."""

    tokens: np.ndarray  # uint32 [all]
    lengths: np.ndarray  # uint32 [pairs, 3]: prompt, chosen, rejected
    label: np.ndarray  # float32 [pairs]
    weight: np.ndarray  # float32 [pairs]
    pair_id: np.ndarray  # uint64 [pairs, 2]
    sources: list[str]
    counts: Counts
    problems: list[Problem]


class ChunkEncoder:
    """Holds tokenizer and template; built once in each worker."""

    def __init__(self, options: EncodingOptions):
        model = ModelText.load(options.model)
        self._rows = RowReader(options.columns)
        self._chat = ChatRenderer(model)
        self._encoder = PairEncoder(model)
        self._policy = LengthPolicy(options.overlong, options.max_length, model.bos_id)

    def encode(self, chunk: Chunk) -> EncodedChunk:
        counts, problems = Counts(), list[Problem]()
        rows, texts = list[PreferenceRow](), list[PairText]()
        for place, raw in chunk.rows(problems):
            try:
                row = self._rows.read(place, raw, chunk.source)
                text = self._text(row)
            except RowProblem as error:
                problems.append(error.problem)
                continue
            if isinstance(text, DropReason):
                counts.drop(text, place)
            else:
                rows.append(row)
                texts.append(text)
        kept = [] if problems else self._tokens(rows, texts, counts)
        return _columns(kept, counts, problems)

    def _text(self, row: PreferenceRow) -> PairText | DropReason:
        turns = part_row(row)
        if _is_empty(turns.chosen) or _is_empty(turns.rejected):
            return DropReason.EMPTY_RESPONSE
        if turns.is_chat:
            return self._chat.render(row.place, turns)
        return PairText(turns.prompt, turns.chosen, turns.rejected, is_rendered=False)

    def _tokens(
        self, rows: list[PreferenceRow], texts: list[PairText], counts: Counts
    ) -> list[tuple[PreferenceRow, PairTokens]]:
        kept = []
        for row, encoded in zip(rows, self._encoder.encode(texts), strict=True):
            pair = encoded if isinstance(encoded, DropReason) else self._policy.apply(encoded)
            if isinstance(pair, PairTokens) and pair.chosen == pair.rejected:
                pair = DropReason.IDENTICAL_RESPONSES
            if isinstance(pair, DropReason):
                counts.drop(pair, row.place)
            else:
                counts.write(pair.cut, row.place)
                kept.append((row, pair))
        return kept


def _is_empty(response: object) -> bool:
    """No text, no messages, or messages that say nothing."""
    if isinstance(response, list):
        return not any(message["content"] or message.get("tool_calls") for message in response)
    return response == ""


def _columns(kept: list[tuple[PreferenceRow, PairTokens]], counts: Counts, problems: list[Problem]) -> EncodedChunk:
    lengths = [(len(pair.prompt), len(pair.chosen), len(pair.rejected)) for _, pair in kept]
    arrays = [np.array(pair.prompt + pair.chosen + pair.rejected, dtype=np.uint32) for _, pair in kept]
    ids = [pair_id(tokens, parts) for tokens, parts in zip(arrays, lengths, strict=True)]
    return EncodedChunk(
        tokens=np.concatenate(arrays) if arrays else np.zeros(0, np.uint32),
        lengths=np.array(lengths, dtype=np.uint32).reshape(-1, 3),
        label=np.array([row.label for row, _ in kept], dtype=np.float32),
        weight=np.array([row.weight for row, _ in kept], dtype=np.float32),
        pair_id=np.array(ids, dtype=np.uint64).reshape(-1, 2),
        sources=[row.source for row, _ in kept],
        counts=counts,
        problems=problems,
    )

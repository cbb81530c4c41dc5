"""What a worker does: a chunk of raw rows in, the columns of a preference file out."""

import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .chat import ChatRenderer, PairText
from .counts import Counts, DropReason, Noted, RowLost
from .encoding import EncodedPair, PairEncoder
from .errors import InputError, shown
from .fingerprints import pair_id
from .input_files import Chunk
from .length_policy import LengthPolicy, PairTokens
from .model_text import ModelText
from .options import EncodingOptions, Labelled
from .prompts import Turns, part_row
from .rows import PreferenceRow, RowReader
from .speakers import assistant_spans


@dataclass(frozen=True)
class EncodedChunk:
    """Pairs that are kept, in input order, and what became of the others."""

    tokens: np.ndarray  # uint32 [all]
    is_labelled: np.ndarray | None  # uint8 [all], where not all tokens of responses count
    lengths: np.ndarray  # uint32 [pairs, 3]: prompt, chosen, rejected
    label: np.ndarray  # float32 [pairs]
    weight: np.ndarray  # float32 [pairs]
    pair_id: np.ndarray  # uint64 [pairs, 2]
    sources: list[str]
    counts: Counts
    fault: str | None = None  # what makes it pointless to go on


@dataclass(frozen=True)
class _RowText:
    place: str
    row: PreferenceRow
    text: PairText


class ChunkEncoder:
    """Holds tokenizer and template; built once in each worker."""

    def __init__(self, options: EncodingOptions, model: ModelText):
        self._labels_assistant = options.labelled is Labelled.ASSISTANT
        self._rows = RowReader(options.columns)
        self._chat = ChatRenderer(model, options.template, self._labels_assistant)
        self._encoder = PairEncoder(model)
        self._policy = LengthPolicy(options.overlong, options.max_length, model.bos_id)

    def encode(self, chunk: Chunk) -> EncodedChunk:
        """Nothing but `fault` where a row shows that it is pointless to go on, or meets an error nobody thought of."""
        counts = Counts()
        try:
            kept = self._tokens(self._texts(chunk, counts), counts)
        except InputError as error:
            return _columns([], Counts(), self._labels_assistant, fault=str(error))
        counts.writes_date = self._chat.date.was_asked
        return _columns(kept, counts, self._labels_assistant)

    def _texts(self, chunk: Chunk, counts: Counts) -> list[_RowText]:
        found = []
        for place, raw in chunk.rows(counts):
            try:
                row = self._rows.read(raw, chunk.source)
                found.append(_RowText(place, row, self._text(row, place, counts)))
            except RowLost as lost:
                counts.drop(lost.reason, place, lost.detail)
            except InputError:
                raise
            except Exception as error:
                raise _unforeseen(place, error) from error
        return found

    def _text(self, row: PreferenceRow, place: str, counts: Counts) -> PairText:
        for name in row.unread:
            counts.leave_unread(f"column {name}", place)
        turns = part_row(row)
        if turns.is_chat:
            for name in self._chat.unread_arguments(row):
                counts.leave_unread(f"{name}, which the chat template does not take", place)
            return self._chat.render(row, turns)
        if row.tools or row.template_kwargs:
            counts.leave_unread("arguments of the chat template, beside plain text", place)
        return self._plain(turns)

    def _plain(self, turns: Turns) -> PairText:
        spans = [
            assistant_spans(turns.prompt, response) if self._labels_assistant else None
            for response in (turns.chosen, turns.rejected)
        ]
        return PairText(turns.prompt, turns.chosen, turns.rejected, False, *spans, repeats_prompt=turns.repeats_prompt)

    def _tokens(self, texts: list[_RowText], counts: Counts) -> list[tuple[PreferenceRow, PairTokens]]:
        kept = []
        for one, encoded in zip(texts, self._encoded(texts), strict=True):
            try:
                if isinstance(encoded, RowLost):
                    raise encoded
                pair = self._checked(encoded.tokens)
            except RowLost as lost:
                counts.drop(lost.reason, one.place, lost.detail)
                continue
            counts.write(pair.cut, one.place)
            for what, detail in _notes(one.text, encoded.border):
                counts.note(what, one.place, detail)
            kept.append((one.row, pair))
        return kept

    def _encoded(self, texts: list[_RowText]) -> list[EncodedPair | RowLost]:
        """All at once, which is faster. Throws InputError that names the row of any other error."""
        try:
            return self._encoder.encode([one.text for one in texts])
        except Exception as error:
            if len(texts) == 1:
                raise _unforeseen(texts[0].place, error) from error
            return [encoded for one in texts for encoded in self._encoded([one])]

    def _checked(self, tokens: PairTokens) -> PairTokens:
        """A pair to write. Throws RowLost."""
        pair = self._policy.apply(tokens)
        if isinstance(pair, DropReason):
            raise RowLost(pair, f"{len(tokens.prompt)} + {max(len(tokens.chosen), len(tokens.rejected))} tokens")
        if pair.chosen == pair.rejected:
            raise RowLost(DropReason.IDENTICAL_RESPONSES)
        for labels in (pair.chosen_labels, pair.rejected_labels):
            if labels is not None and not any(labels):
                raise RowLost(DropReason.UNLABELLED)
        return pair


def _unforeseen(place: str, error: Exception) -> InputError:
    """An error that no row should be able to cause: names row and line of code, so that it can be reported."""
    *_, frame = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    return InputError(
        f"{place}: an error of this program ({where}: {type(error).__name__}: {error}): leave this row out"
    )


def _notes(text: PairText, border: str) -> list[tuple[Noted, str]]:
    found = [(Noted.LOST_TEXT, text.lost_text), (Noted.BORDER, border)]
    if text.repeats_prompt:
        found.append((Noted.REPEATED_PROMPT, text.prompt))
    return [(what, shown(detail)) for what, detail in found if detail]


def _columns(
    kept: list[tuple[PreferenceRow, PairTokens]], counts: Counts, has_labels: bool, fault: str | None = None
) -> EncodedChunk:
    lengths = [(len(pair.prompt), len(pair.chosen), len(pair.rejected)) for _, pair in kept]
    arrays = [np.array(pair.prompt + pair.chosen + pair.rejected, dtype=np.uint32) for _, pair in kept]
    flags = [_flags(pair) if has_labels else None for _, pair in kept]
    ids = [pair_id(tokens, parts, labels) for tokens, parts, labels in zip(arrays, lengths, flags, strict=True)]
    return EncodedChunk(
        tokens=np.concatenate(arrays) if arrays else np.zeros(0, np.uint32),
        is_labelled=np.concatenate([np.zeros(0, np.uint8), *flags]) if has_labels else None,
        lengths=np.array(lengths, dtype=np.uint32).reshape(-1, 3),
        label=np.array([row.label for row, _ in kept], dtype=np.float32),
        weight=np.array([row.weight for row, _ in kept], dtype=np.float32),
        pair_id=np.array(ids, dtype=np.uint64).reshape(-1, 2),
        sources=[row.source for row, _ in kept],
        counts=counts,
        fault=fault,
    )


def _flags(pair: PairTokens) -> np.ndarray:
    """uint8 [tokens of the pair]: whether each counts."""
    labels = [False] * len(pair.prompt)
    for response, marked in ((pair.chosen, pair.chosen_labels), (pair.rejected, pair.rejected_labels)):
        labels += [True] * len(response) if marked is None else marked
    return np.array(labels, dtype=np.uint8)

"""Texts of prompt and responses -> token ids, many pairs at once.

A conversation is tokenized as a whole, as transformers does, and cut where the response begins: a tokenizer may write
a text in another way when it stands alone. Where a token spans the border, it is the response's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .chat import PairText, Span
from .counts import DropReason, RowLost
from .errors import shown
from .length_policy import PairTokens
from .model_text import ModelText
from .text_cut import TextCutter

_SHOWN_CHARACTERS = 20


@dataclass(frozen=True)
class EncodedPair:
    tokens: PairTokens
    border: str = ""  # where the prompt alone has other tokens: its end, which went to the response if a token spans it


@dataclass(frozen=True)
class _Whole:
    """A conversation."""

    ids: list[int]
    offsets: Sequence[Span] = ()  # of each token; none where nobody needs them


class PairEncoder:
    """Tokenizes pairs of one chunk together."""

    def __init__(self, model: ModelText):
        self._model = model
        self._tokenizer = model.tokenizer
        self._cutter = TextCutter(model.tokenizer)

    def encode(self, texts: list[PairText]) -> list[EncodedPair | RowLost]:
        if any(text.chosen_spans is not None for text in texts):
            prompts, wholes = self._ids([text.prompt for text in texts]), self._placed(texts)
        else:
            prompts, wholes = self._unplaced(texts)
            # Where the prompt alone has other tokens, and there only, places are needed.
            moved = [i for i, prompt in enumerate(prompts) if not _begin_with(wholes[i], prompt)]
            for i, pair in zip(moved, self._placed([texts[i] for i in moved]), strict=True):
                wholes[i] = pair
        return [self._pair(*one) for one in zip(texts, prompts, wholes, strict=True)]

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return [encoded.ids for encoded in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def _placed(self, texts: list[PairText]) -> list[list[_Whole]]:
        """Both conversations of each pair, with the places of their tokens, which take time."""
        wholes = [text.prompt + response for text in texts for response in (text.chosen, text.rejected)]
        encoded = [
            _Whole(one.ids, one.offsets) for one in self._tokenizer.encode_batch(wholes, add_special_tokens=False)
        ]
        return [encoded[i : i + 2] for i in range(0, len(encoded), 2)]

    def _unplaced(self, texts: list[PairText]) -> tuple[list[list[int]], list[list[_Whole]]]:
        """Each prompt, and both conversations of each pair. What all three begin with is tokenized once."""
        cuts = [self._cutter.place(text.prompt) for text in texts]
        heads = self._ids([text.prompt[:cut] for text, cut in zip(texts, cuts, strict=True)])
        tails = self._ids([
            text.prompt[cut:] + response
            for text, cut in zip(texts, cuts, strict=True)
            for response in ("", text.chosen, text.rejected)
        ])  # fmt: skip
        prompts = [head + tails[3 * i] for i, head in enumerate(heads)]
        wholes = [[_Whole(head + tail) for tail in tails[3 * i + 1 : 3 * i + 3]] for i, head in enumerate(heads)]
        return prompts, wholes

    def _pair(self, text: PairText, prompt: list[int], wholes: list[_Whole]) -> EncodedPair | RowLost:
        border, differs = len(prompt), ""
        if not _begin_with(wholes, prompt):
            border, differs = _token_border(text.prompt, wholes)
            if border == 0:
                return RowLost(DropReason.BOUNDARY, f"no token ends before the response in {shown(text.prompt)}")
        prompt, responses = wholes[0].ids[:border], [whole.ids[border:] for whole in wholes]
        labels = [
            None if spans is None else _labels(whole.offsets[border:], len(text.prompt), spans)
            for whole, spans in zip(wholes, (text.chosen_spans, text.rejected_spans), strict=True)
        ]
        if not text.is_rendered:
            prompt = self._with_front(prompt)
            for response, response_labels in zip(responses, labels, strict=True):
                self._add_end(response, response_labels)
        if not prompt:
            if self._model.bos_id is None:
                return RowLost(DropReason.EMPTY_PROMPT)
            prompt = [self._model.bos_id]
        # Text may vanish in a normalizer.
        if not all(responses):
            return RowLost(DropReason.EMPTY_RESPONSE)
        tokens = PairTokens(prompt, *responses, chosen_labels=labels[0], rejected_labels=labels[1])
        return EncodedPair(tokens, differs)

    def _with_front(self, prompt: list[int]) -> list[int]:
        front = self._model.front_ids
        return prompt if prompt[: len(front)] == front else front + prompt

    def _add_end(self, response: list[int], labels: list[bool] | None) -> None:
        """The end of a text, if it is not there, counts as the token before it does."""
        end = self._model.back_ids
        if end and response and response[-len(end) :] != end:
            response += end
            if labels is not None:
                labels += labels[-1:] * len(end)


def _begin_with(wholes: list[_Whole], prompt: list[int]) -> bool:
    return all(whole.ids[: len(prompt)] == prompt for whole in wholes)


def _token_border(prompt: str, wholes: list[_Whole]) -> tuple[int, str]:
    """How many tokens both wholes have in common that end within the prompt, and the prompt's text after them, or its
    end."""
    ids, offsets = [whole.ids for whole in wholes], [whole.offsets for whole in wholes]
    border = 0
    for i in range(min(map(len, ids))):
        if ids[0][i] != ids[1][i] or any(of[i][1] > len(prompt) for of in offsets):
            break
        border = i + 1
    # Not inside a character that is several tokens.
    while border > 0 and any(border < len(of) and of[border][0] < of[border - 1][1] for of in offsets):
        border -= 1
    covered = max((of[1] for of in offsets[0][:border]), default=0)
    return border, prompt[covered:] or prompt[-_SHOWN_CHARACTERS:]


def _labels(offsets: Sequence[Span], begin: int, spans: list[Span]) -> list[bool]:
    """Of each token of a response that begins at character `begin`, whether its first character is in a span."""
    labels, rest = [], iter(spans)
    span = next(rest, None)
    for first, _ in offsets:
        position = max(0, first - begin)
        while span is not None and position >= span[1]:
            span = next(rest, None)
        labels.append(span is not None and span[0] <= position)
    return labels

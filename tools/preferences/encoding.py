"""Texts of prompt and responses -> token ids, many pairs at once.

A conversation is tokenized as a whole, as transformers does, and cut where the response begins: a
tokenizer may write a text in another way when it stands alone. Where a token spans the border, it is the response's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Encoding

from .chat import PairText, Span
from .counts import DropReason, RowLost
from .errors import shown
from .length_policy import PairTokens
from .model_text import ModelText

_SHOWN_CHARACTERS = 20


@dataclass(frozen=True)
class EncodedPair:
    tokens: PairTokens
    border: str = ""  # where the prompt alone has other tokens: its end, which went to the response if a token spans it


class PairEncoder:
    """Tokenizes pairs of one chunk together."""

    def __init__(self, model: ModelText):
        self._model = model
        self._tokenizer = model.tokenizer

    def encode(self, texts: list[PairText]) -> list[EncodedPair | RowLost]:
        prompts = self._tokenizer.encode_batch_fast([text.prompt for text in texts], add_special_tokens=False)
        wholes = [text.prompt + response for text in texts for response in (text.chosen, text.rejected)]
        has_spans = any(text.chosen_spans is not None for text in texts)
        encode = self._tokenizer.encode_batch if has_spans else self._tokenizer.encode_batch_fast
        encoded = encode(wholes, add_special_tokens=False)
        return [self._pair(text, prompts[i].ids, encoded[2 * i : 2 * i + 2]) for i, text in enumerate(texts)]

    def _pair(self, text: PairText, prompt: list[int], wholes: list[Encoding]) -> EncodedPair | RowLost:
        ids = [whole.ids for whole in wholes]
        border, differs = len(prompt), ""
        if any(whole[:border] != prompt for whole in ids):
            border, differs = self._token_border(text)
            if border == 0:
                return RowLost(DropReason.BOUNDARY, f"no token ends before the response in {shown(text.prompt)}")
        prompt, responses = ids[0][:border], [whole[border:] for whole in ids]
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

    def _token_border(self, text: PairText) -> tuple[int, str]:
        """How many tokens both wholes have in common that end within the prompt, and the prompt's text after them, or
        its end."""
        end = len(text.prompt)
        wholes = [self._tokenizer.encode(text.prompt + response, add_special_tokens=False)
                  for response in (text.chosen, text.rejected)]  # fmt: skip
        ids, offsets = [whole.ids for whole in wholes], [whole.offsets for whole in wholes]
        border = 0
        for i in range(min(map(len, ids))):
            if ids[0][i] != ids[1][i] or any(of[i][1] > end for of in offsets):
                break
            border = i + 1
        # Not inside a character that is several tokens.
        while border > 0 and any(border < len(of) and of[border][0] < of[border - 1][1] for of in offsets):
            border -= 1
        covered = max((of[1] for of in offsets[0][:border]), default=0)
        return border, text.prompt[covered:] or text.prompt[-_SHOWN_CHARACTERS:]

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

"""Texts of prompt and responses -> token ids, many pairs at once."""

from .chat import PairText
from .counts import DropReason
from .length_policy import PairTokens
from .model_text import ModelText


class PairEncoder:
    """Tokenizes each piece on its own: a token never spans prompt and response."""

    def __init__(self, model: ModelText):
        self._model = model

    def encode(self, texts: list[PairText]) -> list[PairTokens | DropReason]:
        prompts = self._model.tokenizer.encode_batch_fast([text.prompt for text in texts], add_special_tokens=False)
        responses = self._model.continuation_tokenizer.encode_batch_fast(
            [response for text in texts for response in (text.chosen, text.rejected)], add_special_tokens=False
        )
        return [
            self._join(text, prompts[i].ids, responses[2 * i].ids, responses[2 * i + 1].ids)
            for i, text in enumerate(texts)
        ]

    def _join(
        self, text: PairText, prompt: list[int], chosen: list[int], rejected: list[int]
    ) -> PairTokens | DropReason:
        if not text.is_rendered:
            prompt = self._with_front(prompt)
            chosen, rejected = self._with_end(chosen), self._with_end(rejected)
        if not prompt:
            if self._model.bos_id is None:
                return DropReason.EMPTY_PROMPT
            prompt = [self._model.bos_id]
        # Text may vanish in a normalizer.
        if not chosen or not rejected:
            return DropReason.EMPTY_RESPONSE
        return PairTokens(prompt, chosen, rejected)

    def _with_front(self, prompt: list[int]) -> list[int]:
        front = self._model.front_ids
        return prompt if prompt[: len(front)] == front else front + prompt

    def _with_end(self, response: list[int]) -> list[int]:
        end = self._model.eos_id
        return response if end is None or response[-1:] == [end] else [*response, end]

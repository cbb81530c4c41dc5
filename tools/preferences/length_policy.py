"""What happens to a pair that is too long: a pure function of token ids."""

from dataclasses import dataclass, field, replace

from .counts import CutPart, DropReason
from .options import Overlong


@dataclass(frozen=True)
class PairTokens:
    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    cut: set[CutPart] = field(default_factory=set)
    # Of each response, which of its tokens count; None: all do.
    chosen_labels: list[bool] | None = None
    rejected_labels: list[bool] | None = None


@dataclass(frozen=True)
class LengthPolicy:
    """No pair that comes out is longer than `max_length` with its longer response, none has an empty part."""

    overlong: Overlong
    max_length: int
    bos_id: int | None

    def apply(self, pair: PairTokens) -> PairTokens | DropReason:
        num_response_tokens = max(len(pair.chosen), len(pair.rejected))
        if len(pair.prompt) + num_response_tokens <= self.max_length:
            return pair
        if self.overlong is Overlong.CUT_RESPONSE:
            return self._cut_responses(pair)
        if self.overlong is Overlong.CUT_PROMPT_LEFT:
            prompt = self._end_of(pair.prompt, max(0, self.max_length - num_response_tokens))
            cut = {CutPart.PROMPT} if len(prompt) < len(pair.prompt) else set()
            return self._cut_responses(replace(pair, prompt=prompt, cut=cut))
        return DropReason.OVER_LONG

    def _cut_responses(self, pair: PairTokens) -> PairTokens | DropReason:
        most = self.max_length - len(pair.prompt)
        if not pair.prompt or most < 1:
            return DropReason.OVER_LONG
        is_cut = max(len(pair.chosen), len(pair.rejected)) > most
        return replace(
            pair,
            chosen=pair.chosen[:most],
            rejected=pair.rejected[:most],
            cut=pair.cut | {CutPart.RESPONSE} if is_cut else pair.cut,
            chosen_labels=pair.chosen_labels and pair.chosen_labels[:most],
            rejected_labels=pair.rejected_labels and pair.rejected_labels[:most],
        )

    def _end_of(self, prompt: list[int], num_tokens: int) -> list[int]:
        """The last tokens of the prompt, after its BOS; BOS alone when there is no room for any."""
        if self.bos_id is not None and (num_tokens == 0 or prompt[0] == self.bos_id):
            return [self.bos_id, *prompt[len(prompt) - max(0, num_tokens - 1) :]]
        return prompt[len(prompt) - num_tokens :]

"""Pairs that are too long, as ids: 1 is BOS, 10.. the prompt, 20.. chosen, 30.. rejected."""

import itertools

import pytest
from preferences.counts import CutPart, DropReason
from preferences.length_policy import LengthPolicy, PairTokens
from preferences.options import Overlong

PROMPT, CHOSEN, REJECTED = [10, 11, 12], [20, 21, 22, 23], [30, 31]


def apply(
    overlong: str, max_length: int, prompt: list[int] = PROMPT, bos_id: int | None = None
) -> PairTokens | DropReason:
    return LengthPolicy(Overlong(overlong), max_length, bos_id).apply(PairTokens(prompt, CHOSEN, REJECTED))


@pytest.mark.parametrize("overlong", list(Overlong))
def test_a_pair_of_just_the_length_is_kept(overlong: str):
    assert apply(overlong, 7) == PairTokens(PROMPT, CHOSEN, REJECTED)


def test_drop_leaves_a_longer_pair_out():
    assert apply("drop", 6) is DropReason.OVER_LONG


def test_cut_response_cuts_the_ends():
    assert apply("cut_response", 6) == PairTokens(PROMPT, [20, 21, 22], [30, 31], {CutPart.RESPONSE})
    assert apply("cut_response", 4) == PairTokens(PROMPT, [20], [30], {CutPart.RESPONSE})


def test_cut_response_drops_when_the_prompt_leaves_no_room():
    assert apply("cut_response", 3) is DropReason.OVER_LONG
    assert apply("cut_response", 2) is DropReason.OVER_LONG


def test_cut_prompt_left_keeps_the_end_of_the_prompt():
    assert apply("cut_prompt_left", 6) == PairTokens([11, 12], CHOSEN, REJECTED, {CutPart.PROMPT})
    assert apply("cut_prompt_left", 5) == PairTokens([12], CHOSEN, REJECTED, {CutPart.PROMPT})


def test_cut_prompt_left_keeps_bos_in_front():
    prompt = [1, *PROMPT]
    assert apply("cut_prompt_left", 6, prompt, bos_id=1) == PairTokens([1, 12], CHOSEN, REJECTED, {CutPart.PROMPT})
    assert apply("cut_prompt_left", 5, prompt, bos_id=1) == PairTokens([1], CHOSEN, REJECTED, {CutPart.PROMPT})


def test_cut_prompt_left_adds_no_bos_to_a_prompt_that_had_none():
    assert apply("cut_prompt_left", 6, bos_id=1) == PairTokens([11, 12], CHOSEN, REJECTED, {CutPart.PROMPT})


def test_cut_prompt_left_cuts_responses_that_fill_all():
    both = {CutPart.PROMPT, CutPart.RESPONSE}
    assert apply("cut_prompt_left", 3, bos_id=1) == PairTokens([1], [20, 21], [30, 31], both)
    assert apply("cut_prompt_left", 2, [1, *PROMPT], bos_id=1) == PairTokens([1], [20], [30], both)
    assert apply("cut_prompt_left", 4, [1], bos_id=1) == PairTokens([1], CHOSEN[:3], REJECTED, {CutPart.RESPONSE})


def test_cut_prompt_left_drops_when_nothing_can_stand_for_the_prompt():
    assert apply("cut_prompt_left", 4) is DropReason.OVER_LONG


def test_whatever_comes_out_fits_and_has_no_empty_part():
    sizes = range(1, 6)
    cases = itertools.product(Overlong, sizes, sizes, sizes, range(2, 12), [None, 1])
    for overlong, num_prompt, num_chosen, num_rejected, max_length, bos_id in cases:
        pair = PairTokens([1] * num_prompt, [2] * num_chosen, [3] * num_rejected)
        out = LengthPolicy(overlong, max_length, bos_id).apply(pair)
        if isinstance(out, PairTokens):
            assert len(out.prompt) + max(len(out.chosen), len(out.rejected)) <= max_length
            assert out.prompt and out.chosen and out.rejected
            assert (out == pair) == (out.cut == set())
        else:
            assert num_prompt + max(num_chosen, num_rejected) > max_length

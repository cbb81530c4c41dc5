"""A text is cut only where the tokens of both parts are those of the whole, whatever follows."""

import random
from pathlib import Path

import pytest
from model_folders import byte_level_tokenizer
from preferences.model_text import ModelText
from preferences.text_cut import TextCutter
from tokenizer_kinds import KINDS, SPECIAL, kind_of_model
from tokenizers import AddedToken, Tokenizer

NUM_TEXTS = 3000
PIECES = [
    *SPECIAL,
    "<|im_",
    "end|>",
    "<",
    "|",
    "[INST",
    "]",
    "s>",
    " ",
    "  ",
    "\n",
    "user\n",
    " rain",
    "rain",
    "I'm",
    "é",
    "天",
    "１",
]


def cuts_that_hold(tokenizer: Tokenizer, pieces: list[str], seed: int) -> int:
    """How many of many texts are cut; each so that nothing changes."""
    chance, cutter, num_cut = random.Random(seed), TextCutter(tokenizer), 0

    def ids(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False).ids

    for _ in range(NUM_TEXTS):
        text, more = ("".join(chance.choices(pieces, k=chance.randint(0, 12))) for _ in range(2))
        place = cutter.place(text)
        if place > 0:
            num_cut += 1
            assert ids(text[:place]) + ids(text[place:] + more) == ids(text + more), (text[:place], text[place:], more)
    return num_cut


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_changes_no_token(tmp_path: Path, kind: str):
    tokenizer = ModelText.load(kind_of_model(tmp_path / "m", kind, "marks")).tokenizer
    num_cut = cuts_that_hold(tokenizer, PIECES, len(kind))
    looks_for_beginning = '"prepend_scheme":"first"' in tokenizer.to_str()
    assert num_cut == 0 if looks_for_beginning else num_cut > NUM_TEXTS // 3


@pytest.mark.parametrize("how", [{}, {"lstrip": True}, {"rstrip": True}, {"single_word": True}, {"normalized": True}])
def test_tokens_that_overlap_or_look_around_are_cut_safely_or_not_at_all(how: dict[str, bool]):
    tokenizer = byte_level_tokenizer([])
    contents = ["<a>", "<a>b", "<a>bc d", "a>b", "b<a", "word", " x"]
    options = {"normalized": False} | how
    tokenizer.add_tokens([AddedToken(content, **options) for content in contents])
    num_cut = cuts_that_hold(tokenizer, [*contents, "<", "a", ">", "b", "c", " ", "d", "\n", "w"], seed=len(str(how)))
    assert (num_cut == 0) == bool(how)

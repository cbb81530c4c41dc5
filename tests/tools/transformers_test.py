"""The tokens of every pair are those that transformers gives for the conversation, cut where the answer begins."""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
from model_folders import assistant, encoder, pairs_of, user
from preferences.chunk_encoder import ChunkEncoder, EncodedChunk
from preferences.counts import DropReason, Noted
from preferences.input_files import LineChunk
from program import run, write_lines
from tokenizer_kinds import KINDS, TEMPLATES, kind_of_model
from transformers import AutoTokenizer

NUM_CONVERSATIONS = int(os.environ.get("NUM_CONVERSATIONS", "60"))  # of each kind of tokenizer and template
NUM_TEXTS = 2000
WORDS = "rain I'm sky Don't blue 12 the 345678 is it! grass — naïve 天气 très green?\n\n \n was".split(" ")
MARK = "\n\nAssistant:"


def sentence(chance: random.Random, least: int = 1) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randint(least, 8)))


def conversations(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Of one or several turns; some answers begin or end with spaces and lines, some alike."""
    chance = random.Random(seed)
    for _ in range(count):
        talk = [
            user(sentence(chance)) if i % 2 == 0 else assistant(sentence(chance))
            for i in range(chance.choice([1, 1, 3]))
        ]
        same = chance.choice(["", "", sentence(chance), "\n", " ", "\n\n"])
        chosen, rejected = (
            [assistant(same + sentence(chance) + tail)] for tail in ("", chance.choice(["", "\n", " ok"]))
        )
        yield {"prompt": talk, "chosen": chosen, "rejected": rejected}


def texts_of_conversations(count: int, seed: int) -> Iterator[dict[str, str]]:
    """In the form of hh-rlhf: no prompt column; the answers begin alike, also inside a word."""
    chance = random.Random(seed)
    for i in range(count):
        talk = "".join(
            f"\n\nHuman: {sentence(chance)}{MARK} {sentence(chance)}" for _ in range(chance.choice([0, 0, 1, 2]))
        )
        talk += f"\n\nHuman: {sentence(chance)}{MARK}"
        same = chance.choice([" ", " Th", " Yes, ", f" {sentence(chance)} w", " I don't kn"])
        yield {"chosen": f"{talk}{same}a{sentence(chance)} {i}", "rejected": f"{talk}{same}e{sentence(chance)}"}


def encoded(worker: ChunkEncoder, row: dict[str, Any]) -> EncodedChunk:
    return worker.encode(LineChunk("a.jsonl", "a", 1, [json.dumps(row).encode()], 0))


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("kind", KINDS)
def test_chat_has_the_tokens_of_the_whole(tmp_path: Path, kind: str, template: str):
    model = kind_of_model(tmp_path / "m", kind, template)
    worker, reference = encoder(model), AutoTokenizer.from_pretrained(model)
    num_written = num_moved = 0
    for row in conversations(NUM_CONVERSATIONS, seed=len(kind) + len(template)):
        chunk = encoded(worker, row)
        if chunk.counts.num_dropped:
            assert set(chunk.counts.dropped) == {DropReason.IDENTICAL_RESPONSES}, (row, chunk.counts)
            continue
        ((prompt, chosen, rejected),) = pairs_of(chunk)
        for name, response in (("chosen", chosen), ("rejected", rejected)):
            assert prompt + response == reference.apply_chat_template(row["prompt"] + row[name], return_dict=False), row
        alone = reference.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=False)
        assert (prompt != alone) == chunk.counts.noted[Noted.BORDER], row
        num_written, num_moved = num_written + 1, num_moved + (prompt != alone)
    assert num_written > 0.9 * NUM_CONVERSATIONS
    # "Assistant: " ends with a space, which most tokenizers write with the word that follows.
    assert template == "plain text" or num_moved < 0.5 * num_written


@pytest.mark.parametrize("kind", KINDS)
def test_text_has_the_tokens_of_the_whole_and_no_prompt_ends_inside_a_word(tmp_path: Path, kind: str):
    model = kind_of_model(tmp_path / "m", kind, "marks")
    reference = AutoTokenizer.from_pretrained(model)
    rows = list(texts_of_conversations(NUM_TEXTS, seed=len(kind)))
    lines = [json.dumps(row).encode() for row in rows]
    chunk = encoder(model, max_length=10000).encode(LineChunk("a.jsonl", "a", 1, lines, 0))
    assert chunk.counts.num_written == len(rows) and chunk.counts.noted[Noted.BORDER] == 0, chunk.counts
    end = [reference.eos_token_id]
    wholes = {name: reference([row[name] for row in rows])["input_ids"] for name in ("chosen", "rejected")}
    prompts = reference([row["chosen"][: row["chosen"].rindex(MARK) + len(MARK)] for row in rows])["input_ids"]
    for i, (prompt, chosen, rejected) in enumerate(pairs_of(chunk)):
        assert prompt == prompts[i]
        assert (prompt + chosen, prompt + rejected) == (wholes["chosen"][i] + end, wholes["rejected"][i] + end)


@pytest.mark.parametrize("kind", KINDS)
def test_the_program_writes_these_tokens_without_torch(tmp_path: Path, kind: str):
    model = kind_of_model(tmp_path / "m", kind, "marks")
    rows = list(conversations(NUM_CONVERSATIONS, seed=len(kind)))
    done = run(model, write_lines(tmp_path / "a.jsonl", rows), tmp_path / "a.h5", "--max-length", "10000")
    assert done.returncode == 0, done.stderr
    lines = [json.dumps(row).encode() for row in rows]
    chunk = encoder(model, max_length=10000).encode(LineChunk("a.jsonl", "a", 1, lines, 0))
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["tokens"][:].tolist() == chunk.tokens.tolist()
        assert file["pair_id"][:].tolist() == chunk.pair_id.tolist()

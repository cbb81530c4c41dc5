"""The preference file: what stands in it, and that equal content is equal bytes."""

import json
import struct
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
import xxhash
from model_folders import assistant, encode, merging_model, pairs_of, user
from preferences.counts import DropReason
from program import run, text_rows, write_lines
from tokenizers import Tokenizer

PER_PAIR = {"num_prompt_tokens": "<u4", "num_chosen_tokens": "<u4", "num_rejected_tokens": "<u4", "label": "<f4",
            "weight": "<f4", "source": "<u2", "pair_id": "<u8"}  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """More than one chunk of everything, of each kind, with some to drop."""
    chat = {"prompt": [user("What color is the sky?")], "chosen": [assistant("blue")], "rejected": [assistant("green")]}
    rows = text_rows(5000)
    rows[3:3] = [chat | {"source": "chat", "weight": 0.5}, {"prompt": "a", "chosen": "b", "rejected": "b"}]
    rows[700] |= {"chosen": " sky" * 70}
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def done(folder: Path, chatml: Path, rows: list[dict]) -> subprocess.CompletedProcess[str]:
    return run(chatml, write_lines(folder / "train.jsonl", rows), folder / "train.h5")


@pytest.fixture(scope="module")
def preferences(done: subprocess.CompletedProcess[str], folder: Path):
    assert done.returncode == 0, done.stderr
    with h5py.File(folder / "train.h5") as file:
        yield file


def test_the_columns_are_what_the_rows_become(preferences: h5py.File, chatml: Path, rows: list[dict]):
    expected = encode(chatml, *rows, max_length=64)
    assert np.array_equal(preferences["tokens"], expected.tokens)
    lengths = [preferences[name] for name in ("num_prompt_tokens", "num_chosen_tokens", "num_rejected_tokens")]
    assert np.array_equal(np.stack(lengths, axis=1), expected.lengths)
    assert np.array_equal(preferences["label"], expected.label)
    assert np.array_equal(preferences["weight"], expected.weight)
    names = [name.decode() for name in preferences["source_names"]]
    assert [names[index] for index in preferences["source"]] == expected.sources
    assert names == ["train", "chat"]


def test_offsets_lead_to_each_pair(preferences: h5py.File):
    lengths = sum(preferences[name][:].astype(np.uint64) for name in list(PER_PAIR)[:3])
    offsets = preferences["offsets"]
    assert offsets.dtype == "<u8" and offsets[0] == 0 and offsets[-1] == len(preferences["tokens"])
    assert np.array_equal(np.diff(offsets), lengths)


def test_pair_ids_hash_counts_and_tokens(preferences: h5py.File, chatml: Path, rows: list[dict]):
    pairs = list(pairs_of(encode(chatml, *rows[:20], max_length=64)))
    for (high, low), pair in zip(preferences["pair_id"][:20], pairs, strict=False):
        numbers = [*map(len, pair), *pair[0], *pair[1], *pair[2]]
        digest = xxhash.xxh3_128_hexdigest(struct.pack(f"<{len(numbers)}I", *numbers))
        assert f"{high:016x}{low:016x}" == digest


def test_attributes_say_where_the_tokens_come_from(preferences: h5py.File, folder: Path, chatml: Path):
    attributes = dict(preferences.attrs)
    counts = json.loads(attributes.pop("counts"))
    digest = xxhash.xxh3_128_digest((folder / "train.jsonl").read_bytes())
    assert attributes == {
        "format": "collimate.preferences",
        "format_version": 2,
        "labelled": "all",
        "template_arguments": '{"chat_template_kwargs": {}, "tools": null}',
        "tokenizer_fingerprint": xxhash.xxh3_128_hexdigest((chatml / "tokenizer.json").read_bytes()),
        "chat_template_fingerprint": xxhash.xxh3_128_hexdigest((chatml / "chat_template.jinja").read_bytes()),
        "input_fingerprint": xxhash.xxh3_128_hexdigest(digest),
        "max_length": 64,
        "overlong": "drop",
        "vocab_size": Tokenizer.from_file(str(chatml / "tokenizer.json")).get_vocab_size(),
    }
    assert (counts["read"], counts["written"]) == (5002, 5000)
    assert counts["dropped"] == dict.fromkeys(DropReason, 0) | {"identical_responses": 1, "over_long": 1}
    assert counts["cut"] == {"prompt": 0, "response": 0}
    assert counts["noted"] == {"lost_text": 0, "border": 0, "repeated_prompt": 0}


def test_the_screen_shows_the_counts(done: subprocess.CompletedProcess[str], folder: Path):
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["read", "5,002"] in lines and ["written", "5,000"] in lines
    place = f"{folder / 'train.jsonl'}"
    assert ["dropped:", "identical_responses", "1", "first", "at", f"{place}:5"] in lines
    assert ["dropped:", "over_long", "1", "first", "at", f"{place}:701:", "9", "+", "71", "tokens"] in lines
    assert done.stderr == ""


def test_every_dataset_is_checksummed_and_of_its_type(preferences: h5py.File):
    assert set(preferences) == {"tokens", "offsets", "source_names", *PER_PAIR}
    assert all(dataset.fletcher32 for dataset in preferences.values())
    assert preferences["tokens"].dtype == "<u4"
    assert {name: preferences[name].dtype for name in PER_PAIR} == PER_PAIR
    assert preferences["pair_id"].shape == (5000, 2)


def test_the_file_is_of_the_format_of_hdf5_1_10(done: subprocess.CompletedProcess[str], folder: Path):
    content = (folder / "train.h5").read_bytes()
    assert content[:8] == b"\x89HDF\r\n\x1a\n" and content[8] == 3  # superblock


def test_a_flipped_bit_is_found(done: subprocess.CompletedProcess[str], folder: Path, tmp_path: Path):
    content = bytearray((folder / "train.h5").read_bytes())
    with h5py.File(folder / "train.h5") as file:
        content[file["tokens"].id.get_chunk_info(0).byte_offset + 1000] ^= 4
    (tmp_path / "flipped.h5").write_bytes(content)
    with h5py.File(tmp_path / "flipped.h5") as file, pytest.raises(OSError, match="filter returned failure"):
        file["tokens"][:10]


def test_bytes_do_not_depend_on_workers_names_or_time(
    done: subprocess.CompletedProcess[str], folder: Path, chatml: Path, tmp_path: Path
):
    (tmp_path / "train.jsonl").write_bytes((folder / "train.jsonl").read_bytes())
    again = run(chatml, tmp_path / "train.jsonl", tmp_path / "other.h5", "--workers", "2")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "other.h5").read_bytes() == (folder / "train.h5").read_bytes()


def test_overlong_pairs_are_cut_and_counted(chatml: Path, rows: list[dict], tmp_path: Path):
    done = run(
        chatml, write_lines(tmp_path / "a.jsonl", rows[690:710]), tmp_path / "a.h5", "--overlong", "cut_response"
    )
    assert done.returncode == 0, done.stderr
    with h5py.File(tmp_path / "a.h5") as file:
        counts = json.loads(file.attrs["counts"])
        assert file.attrs["overlong"] == "cut_response"
        assert file["num_prompt_tokens"][10] + file["num_chosen_tokens"][10] == 64
    assert counts["cut"] == {"prompt": 0, "response": 1} and counts["written"] == 20
    assert ["cut:", "response", "1", "first", "at", f"{tmp_path / 'a.jsonl'}:11"] in [
        line.split() for line in done.stdout.splitlines()
    ]


NOTES = {
    "border": ({"prompt": "yesab", "chosen": "cd", "rejected": "cdcd"}, "have other tokens when they stand alone"),
    "repeated_prompt": ({"prompt": "yes", "chosen": "yesab", "rejected": "yescd"}, "begin with the prompt's text"),
}


@pytest.mark.parametrize(("num_rows", "warns"), [(99, True), (100, False)])
@pytest.mark.parametrize("note", NOTES)
def test_pairs_that_may_not_be_what_was_meant_are_a_warning_from_one_percent_on(
    tmp_path: Path, note: str, num_rows: int, warns: bool
):
    row, warning = NOTES[note]
    plain = [{"prompt": "yes", "chosen": "ab", "rejected": "cd" * (i + 1)} for i in range(num_rows - 1)]
    lines = write_lines(tmp_path / "a.jsonl", [row, *plain])
    done = run(merging_model(tmp_path / "m"), lines, tmp_path / "a.h5", "--max-length", "1000")
    assert done.returncode == 0 and f"noted: {note}" in done.stdout, done
    assert (warning in done.stderr) == warns and (f"first at {lines}:1" in done.stderr) == warns, done.stderr


@pytest.mark.parametrize(("share", "code"), [("100%", 0), ("99%", 2)])
def test_nobody_gives_up_early_where_all_rows_may_be_left_out(tmp_path: Path, bare: Path, share: str, code: int):
    rows = [{"prompt": "a", "chosen": "b", "rejected": "b"}] * 1500 + text_rows(1)
    done = run(bare, write_lines(tmp_path / "a.jsonl", rows), tmp_path / "a.h5", "--max-dropped", share)
    assert done.returncode == code and ("none of the first" in done.stderr) == (code == 2), done

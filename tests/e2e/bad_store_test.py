"""Reference stores that must not be used: each is refused by every command that reads one, and stays as it was."""

import json
from pathlib import Path

import h5py
import pytest
from jobs import BINARY, REPOSITORY, in_private_mount, refuse, succeed
from model_folders import VOCAB_SIZE, make_llama
from pairs import Pair, pair_id, random_pairs, write_preferences

LAUNCHERS = {1: "", 2: f"{REPOSITORY}/launch/mpirun -n 2 "}


def other_weights(run):
    run.sections["model"]["path"] = str(make_llama(run.folder / "other", seed=2))


def tokenized_again(run, model_folder, **changes):
    for key, num_pairs, seed in (("train", 24, 1), ("eval", 11, 2)):
        write_preferences(run.sections["data"][key][0], random_pairs(num_pairs, VOCAB_SIZE, seed), model_folder, VOCAB_SIZE, **changes)


def other_tokenizer(run):
    folder = make_llama(run.folder / "other")
    tokenizer = folder / "tokenizer.json"
    content = json.loads(tokenizer.read_text())
    content["version"] = "another"
    tokenizer.write_text(json.dumps(content))
    run.sections["model"]["path"] = str(folder)
    tokenized_again(run, folder)


def other_truncation(run):
    tokenized_again(run, Path(run.sections["model"]["path"]), overlong="cut_prompt_left", max_length=2048)


def other_dtype(run):
    run.sections["reference"]["dtype"] = "float64"


def cut(run):
    run.store.write_bytes(run.store.read_bytes()[:-1])


def cut_in_the_middle(run):
    content = run.store.read_bytes()
    run.store.write_bytes(content[: len(content) // 2])


def flip(run, place):
    content = bytearray(run.store.read_bytes())
    content[place] ^= 1
    run.store.write_bytes(content)


def flipped_data(run):
    with h5py.File(run.store) as store:
        place = store["chosen_logps"].id.get_chunk_info(0).byte_offset
    flip(run, place + 5)


def flipped_metadata(run):
    with h5py.File(run.store) as store:
        place = h5py.h5o.get_info(store["chosen_logps"].id).addr
    flip(run, place + 20)


def flipped_superblock(run):
    flip(run, 30)


def edited(run, name, change):
    """With a right checksum."""
    with h5py.File(run.store, "r+") as store:
        values = store[name][:]
        change(values)
        store[name][:] = values


def duplicate_ids(run):
    edited(run, "pair_id", lambda ids: ids.__setitem__(3, ids[2]))


def unsorted_ids(run):
    edited(run, "pair_id", lambda ids: ids.__setitem__(slice(2, 4), ids[3:1:-1].copy()))


def not_finite(run):
    edited(run, "rejected_logps", lambda values: values.__setitem__(5, float("nan")))


def no_tokens(run):
    edited(run, "num_chosen_tokens", lambda counts: counts.__setitem__(5, 0))


def lacks_a_dataset(run):
    with h5py.File(run.store, "r+") as store:
        del store["chosen_common_logps"]


def foreign(run):
    with h5py.File(run.store, "w") as store:
        store["weights"] = [1.0, 2.0]


def preferences_instead(run):
    run.store.write_bytes(run.train_file.read_bytes())


def text_instead(run):
    run.store.write_text("chosen_logps: -1.5")


# What is done to a run's store, or to the run, and what the message must say besides the store's name.
CASES = [
    (other_weights, ["weights_fingerprint: the store has", "this run has", "`collimate reference`"]),
    (other_tokenizer, ["tokenizer_fingerprint: the store has", "this run has"]),
    (other_truncation, ["overlong: the store has drop, this run has cut_prompt_left", "max_length: the store has 4096"]),
    (other_dtype, ["dtype: the store has float32, this run has float64"]),
    (cut, ["not a readable HDF5 file"]),
    (cut_in_the_middle, ["not a readable HDF5 file"]),
    (flipped_data, ["chosen_logps"]),
    (flipped_metadata, ["chosen_logps"]),
    (flipped_superblock, ["not a readable HDF5 file"]),
    (duplicate_ids, ["row 3", "pair ids ascend and are distinct"]),
    (unsorted_ids, ["row 3", "pair ids ascend and are distinct"]),
    (not_finite, ["row 5", "a log-prob is nan"]),
    (no_tokens, ["row 5", "a response has 0 tokens"]),
    (lacks_a_dataset, ["no dataset 'chosen_common_logps'"]),
    (foreign, ["is not a reference store", "expected collimate.reference"]),
    (preferences_instead, ["is not a reference store", "collimate.preferences"]),
    (text_instead, ["not a readable HDF5 file"]),
]


@pytest.mark.parametrize(("spoil", "says"), CASES, ids=[spoil.__name__ for spoil, _ in CASES])
def test_a_bad_store_is_refused_and_left_alone(scored_run, spoil, says):
    spoil(scored_run)
    before = scored_run.store.read_bytes()
    for verb in ("train", "evaluate", "reference"):
        refuse(verb, scored_run.config(), says=["reference.h5", *says])
    assert scored_run.store.read_bytes() == before
    assert not scored_run.output.exists()
    assert sorted(path.name for path in scored_run.folder.glob("*reference.h5*")) == ["reference.h5"]


def test_missing_store_names_the_command(run):
    refuse("train", run.config(), says=["reference.h5", "collimate reference", "run.yaml"])


def test_missing_row_names_the_pair_and_the_command(scored_run, model_folder):
    extra = Pair([3], [4], [5])
    pairs = [*random_pairs(24, VOCAB_SIZE, seed=1), extra]
    write_preferences(scored_run.train_file, pairs, model_folder, VOCAB_SIZE)
    high, low = pair_id(extra)
    refuse("train", scored_run.config(), says=["reference.h5", f"1 of the pairs ({high:016x}{low:016x})", "collimate reference"])


def test_a_store_in_a_read_only_folder_can_be_read_but_not_added_to(scored_run, model_folder):
    folder = scored_run.folder / "sealed"
    folder.mkdir()
    config = scored_run.config(train={"max_steps": 1})
    write_preferences(scored_run.folder / "more.h5", random_pairs(5, VOCAB_SIZE, seed=9), model_folder, VOCAB_SIZE)
    done = in_private_mount(
        f"mount -t tmpfs tmpfs {folder} && cp {scored_run.store} {folder} && mount -o remount,ro {folder} && "
        f"{BINARY} train {config} --set reference.store={folder}/reference.h5; echo trained $?; "
        f"{BINARY} reference {config} --set reference.store={folder}/reference.h5 --set data.train.0.path={scored_run.folder}/more.h5"
    )
    assert "trained 0" in done.stdout
    assert done.returncode == 2, done.stderr
    assert "sealed" in done.stderr and "Read-only file system" in done.stderr and done.stderr.count("error:") == 1


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("per_token", [False, True])
def test_a_full_disk_ends_scoring_and_loses_nothing(run, model_folder, ranks, per_token):
    pairs = random_pairs(180, VOCAB_SIZE, seed=4)
    write_preferences(run.train_file, pairs, model_folder, VOCAB_SIZE)
    run.sections["reference"] |= {"block_pairs": 6, "per_token": per_token}
    succeed("reference", run.config())
    expected = run.store.read_bytes()
    folder = run.folder / "small"
    folder.mkdir()
    command = f"{LAUNCHERS[ranks]}{BINARY} reference {run.config()} --set reference.store={folder}/reference.h5"
    # First too small for the blocks; then large enough for them, but not for a store that has to be given room before
    # it is compressed.
    blocks = 4 * len(pairs)  # kilobytes
    done = in_private_mount(
        f"mount -t tmpfs -o size=100k tmpfs {folder} && {command}; echo first $?; "
        f"ls {folder}/reference.h5.parts | grep -c ^block_; ls {folder}/reference.h5; "
        f"mount -o remount,size={blocks}k {folder}; {command}; echo second $?; "
        f"mount -o remount,size=16m {folder}; {command}; echo third $?; cp {folder}/reference.h5 {run.store}; ls -a {folder}"
    )
    assert "first 1" in done.stdout and f"second {int(per_token)}" in done.stdout and "third 0" in done.stdout, done.stdout + done.stderr
    assert "No space left on device" in done.stderr
    assert "blocks are scored already" in done.stderr
    assert run.store.read_bytes() == expected
    assert done.stdout.split()[-3:] == [".", "..", "reference.h5"], done.stdout

"""Bad input of every kind: exit 2, one clear message that names file and place, nothing written."""

import json
import math
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import BINARY, PATIENCE, collimate, command_of, environment_of, in_private_mount, refuse, step_metrics, succeed
from model_folders import VOCAB_SIZE, write_tokenizer
from pairs import Pair, random_pairs, write_preferences
from preferences.file_lock import FileLock
from safetensors.torch import load_file, save_file


@pytest.fixture(autouse=True)
def nothing_is_written(run):
    """Whatever a refused run is given, its folder holds afterwards what the test itself put there."""
    yield
    assert not list(run.folder.rglob("*.partial*")), "a staged file was left behind"
    written = {"config.yaml", "run.json", "metrics.jsonl", "checkpoints"}
    found = {path.name for path in run.output.iterdir()} if run.output.exists() else set()
    assert run.is_trained or not found & written, found


def copy_of_model(run) -> Path:
    folder = run.folder / "model"
    shutil.copytree(run.sections["model"]["path"], folder)
    run.sections["model"]["path"] = str(folder)
    return folder


def bad_text(run, text):
    file = run.folder / "bad.yaml"
    file.write_text(text)
    return file


# --- configuration ---------------------------------------------------------------------------------------------------


def test_unknown_key_with_the_near_miss(run):
    file = run.config(optimizer={"learning_rte": 1e-3})
    message = refuse("train", file, says=["run.yaml:", "optimizer.learning_rte", "learning_rate"])
    assert ":" in message


def test_duplicate_key(run):
    text = run.config().read_text().replace('"learning_rate": 0.001', '"learning_rate": 0.001, "learning_rate": 0.002')
    refuse("train", bad_text(run, text), says=["bad.yaml:", "learning_rate"])


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("batch", "global_batch_size", "many"),
        ("batch", "global_batch_size", 1.5),
        ("batch", "global_batch_size", 0),
        ("objective", "beta", -1.0),
        ("objective", "loss_type", "dpo"),
        ("optimizer", "learning_rate", "3x"),
        ("optimizer", "betas", [0.9]),
        ("data", "shuffle", "perhaps"),
        ("model", "dtype", "int8"),
    ],
)
def test_wrong_type_or_range(run, section, key, value):
    refuse("train", run.config(**{section: {key: value}}), says=["run.yaml:", f"{section}.{key}"])


def test_all_errors_of_a_file_at_once(run):
    message = refuse(
        "check",
        run.config(batch={"global_batch_size": -2}, objective={"beta": "strong"}),
        says=["batch.global_batch_size", "objective.beta"],
    )
    assert message.count("run.yaml:") == 2


def test_an_override_is_checked_alike(run):
    refuse("check", run.config(), "--set", "optimizer.learning_rate=fast", says=["--set", "optimizer.learning_rate"])


def test_missing_configuration_file(run):
    refuse("train", run.folder / "absent.yaml", says="absent.yaml")


def test_wrong_number_of_ranks(run):
    refuse("train", run.config(parallel={"data": 3}), says=["parallel.data", "3"])


# --- model folder ----------------------------------------------------------------------------------------------------


def test_missing_model_folder(run):
    run.sections["model"]["path"] = str(run.folder / "nowhere")
    refuse("train", run.config(), says="nowhere")


def test_truncated_safetensors(run):
    file = copy_of_model(run) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    refuse("train", run.config(), says="model.safetensors")


@pytest.mark.parametrize("place", [0, 3, 9, 40, 200])
def test_flipped_bit_in_a_safetensors_header(run, place):
    file = copy_of_model(run) / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[place] ^= 0x10
    file.write_bytes(content)
    refuse("train", run.config(), says="model")


def test_missing_unexpected_and_wrongly_shaped_weights_are_all_listed(run):
    file = copy_of_model(run) / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.norm.weight"]
    tensors["model.layers.7.mlp.up_proj.weight"] = tensors["model.layers.0.mlp.up_proj.weight"].clone()
    name = "model.layers.0.self_attn.q_proj.weight"
    tensors[name] = tensors[name][:-1].clone()
    save_file(tensors, file)
    refuse("train", run.config(), says=["model.norm.weight", "model.layers.7.mlp.up_proj.weight", name, "47", "48"])


def test_another_architecture_is_refused_by_name(run):
    file = copy_of_model(run) / "config.json"
    config = json.loads(file.read_text()) | {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}
    file.write_text(json.dumps(config))
    refuse("train", run.config(), says=["config.json", "gpt2", "llama"])


# --- preference files ------------------------------------------------------------------------------------------------


def spoilt(run, pairs=None, **changes):
    pairs = pairs or random_pairs(24, VOCAB_SIZE, seed=1)
    return write_preferences(run.train_file, pairs, Path(run.sections["model"]["path"]), VOCAB_SIZE, **changes)


def test_missing_preference_file(run):
    run.train_file.unlink()
    refuse("train", run.config(), says=["train.h5"])


def test_not_a_preference_file(run):
    run.train_file.write_bytes(b"not HDF5 at all")
    refuse("train", run.config(), says=["train.h5"])


def test_truncated_preference_file(run):
    run.train_file.write_bytes(run.train_file.read_bytes()[:3000])
    refuse("train", run.config(), says=["train.h5"])


def test_token_id_outside_the_vocabulary(run):
    pairs = random_pairs(24, VOCAB_SIZE, seed=1)
    pairs[5] = Pair([5, 6], [7, VOCAB_SIZE + 3], [8])
    spoilt(run, pairs)
    refuse("train", run.config(), says=["train.h5", "pair 5", str(VOCAB_SIZE + 3), str(VOCAB_SIZE)])


def test_tokenizer_and_preference_file_that_do_not_belong_together(run):
    write_tokenizer(copy_of_model(run), marker="<other>")
    refuse("train", run.config(), says=["train.h5", "tokenizer"])


def test_empty_data_set(run):
    empty = [Pair([3], [4], [5])]
    spoilt(
        run,
        empty,
        tokens=np.zeros(0, "<u4"),
        offsets=np.zeros(1, "<u8"),
        **{name: np.zeros(0, "<u4") for name in ("num_prompt_tokens", "num_chosen_tokens", "num_rejected_tokens")},
        label=np.zeros(0, "<f4"),
        weight=np.zeros(0, "<f4"),
        source=np.zeros(0, "<u2"),
        pair_id=np.zeros((0, 2), "<u8"),
    )
    refuse("train", run.config(), says=["train.h5"])


def test_empty_response(run):
    pairs = random_pairs(24, VOCAB_SIZE, seed=1)
    pairs[2] = Pair([5], [7], [])
    spoilt(run, pairs)
    refuse("train", run.config(), says=["train.h5", "pair 2"])


@pytest.mark.parametrize("label", [math.nan, 1.5, -0.25])
def test_label_that_is_no_probability(run, label):
    labels = np.ones(24, "<f4")
    labels[7] = label
    spoilt(run, label=labels)
    refuse("train", run.config(), says=["train.h5", "pair 7", "label"])


# --- what messages quote ---------------------------------------------------------------------------------------------

# Clears the screen, goes back in the line, turns the direction of writing, colours by a control character of C1.
HOSTILE = "\x1b[2J\r\u202e\u009b31m"
SHOWN = r"\x1b[2J\x0d\u202e\u009b31m"


def is_harmless(text: str) -> bool:
    return all(character == "\n" or character.isprintable() for character in text)


def hostile_tensor(run):
    file = copy_of_model(run) / "model.safetensors"
    save_file(load_file(file) | {f"odd {HOSTILE}": torch.zeros(2)}, file)
    return run.config()


def hostile_key(run):
    return bad_text(run, json.dumps({HOSTILE: 1}))


def hostile_value(run):
    return run.config(model={"path": f"nowhere {HOSTILE}"})


def hostile_attribute(run):
    spoilt(run, format=HOSTILE)
    return run.config()


def hostile_file_name(run):
    return run.folder / f"absent {HOSTILE}.yaml"


@pytest.mark.parametrize("spoil", [hostile_tensor, hostile_key, hostile_value, hostile_attribute, hostile_file_name])
@pytest.mark.parametrize("ranks", [1, 2])
def test_what_a_message_quotes_cannot_steer_the_terminal(run, spoil, ranks):
    assert is_harmless(refuse("train", spoil(run), says=SHOWN, ranks=ranks))


def test_bytes_that_are_no_utf8_are_written_out(run):
    refuse("inspect", run.folder / os.fsdecode(b"absent \xff\x9b"), says=r"absent \xff\x9b")


def test_an_unknown_option_cannot_steer_the_terminal(run):
    done = collimate("train", run.config(), f"--what{HOSTILE}")
    assert done.returncode == 2 and SHOWN in done.stderr and is_harmless(done.stderr), done.stderr


def test_inspect_cannot_steer_the_terminal(run):
    folder = run.folder / f"model {HOSTILE}"
    shutil.copytree(copy_of_model(run), folder)
    said = succeed("inspect", folder).stdout
    assert SHOWN in said and is_harmless(said)


def test_check_prints_a_configuration_that_gives_itself_again_whatever_its_texts_are(run):
    config = run.config(output={"directory": str(run.folder / f"out {HOSTILE}")})
    said = succeed("check", config).stdout
    assert SHOWN in said and is_harmless(said)
    assert succeed("check", bad_text(run, said)).stdout == said.replace(str(config), str(run.folder / "bad.yaml"))


# --- output ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verb", "key"), [("train", "output.directory"), ("reference", "reference.store")])
def test_unwritable_output(scored_run, verb, key):
    folder = scored_run.folder / "sealed"
    folder.mkdir()
    target = folder / ("out" if verb == "train" else "reference.h5")
    config = scored_run.config()
    done = in_private_mount(
        f"mount -t tmpfs -o ro tmpfs {folder} && "
        f"{BINARY} {verb} {config} --set {key}={target}"
    )
    assert done.returncode == 2, done.stderr
    assert "sealed" in done.stderr and done.stderr.count("error:") == 1


def test_full_disk_fails_loudly_and_keeps_the_last_checkpoint(scored_run):
    folder = scored_run.folder / "small"
    folder.mkdir()
    config = scored_run.config(train={"num_train_epochs": 50}, checkpoint={"save_steps": 1, "save_total_limit": 100})
    done = in_private_mount(
        f"mount -t tmpfs -o size=3m tmpfs {folder} && "
        f"{BINARY} train {config} --set output.directory={folder}/out; code=$?; "
        f"{BINARY} inspect --verify {folder}/out/checkpoints/latest; echo inspected $?; exit $code"
    )
    assert done.returncode == 1, done.stderr
    assert "No space left" in done.stderr
    assert "inspected 0" in done.stdout


def test_an_answer_that_nobody_gets_is_a_failure(run):
    for arguments in (["inspect", "--json", run.sections["model"]["path"]], ["--help"]):
        with Path("/dev/full").open("w") as full:
            command = command_of(*arguments, ranks=1)
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, env=environment_of(1))
        assert done.returncode == 1
        assert done.stderr == "collimate: error: standard output cannot be written: No space left on device\n"


def test_output_folder_of_another_run(scored_run):
    succeed("train", scored_run.config(train={"max_steps": 2}))
    scored_run.is_trained = True
    before = {path: path.read_bytes() for path in scored_run.output.rglob("*") if path.is_file()}
    refuse("train", scored_run.config(objective={"beta": 0.5}), says=["beta", "0.1", "0.5"])
    assert {path: path.read_bytes() for path in scored_run.output.rglob("*") if path.is_file()} == before


def test_a_change_of_identity_is_made_where_it_is_allowed(scored_run):
    succeed("train", scored_run.config(train={"max_steps": 2}))
    scored_run.is_trained = True
    config = scored_run.config(objective={"beta": 0.5}, batch={"global_batch_size": 6}, train={"max_steps": 3})
    refuse("train", config, "--allow-change", "objective.beta", says=["batch.global_batch_size: 4 there, 6 now", "--allow-change"])
    done = succeed("train", config, "--allow-change", "objective.beta", "--allow-change", "batch.global_batch_size")
    assert "changed since: objective.beta" in done.stderr and "changed since: batch.global_batch_size" in done.stderr
    assert len(step_metrics(scored_run.output)) == 3
    refuse("train", config, "--allow-change", "objective.bata", says=["--allow-change objective.bata", "no such difference"])


def test_output_folder_that_another_job_trains_in(scored_run):
    scored_run.output.mkdir()
    lock = scored_run.output / "checkpoints.lock"
    with FileLock(scored_run.output / "checkpoints", scored_run.output):
        left = lock.read_text()
        refuse("train", scored_run.config(), says=[str(scored_run.output), f"is being written by process {os.getpid()} on "])
        assert list(scored_run.output.iterdir()) == [lock]
    # What a killed job leaves holds nobody up.
    lock.write_text(left)
    succeed("train", scored_run.config(train={"max_steps": 1}))
    scored_run.is_trained = True
    assert not lock.exists()


def test_output_folder_that_is_no_run(run):
    run.output.mkdir()
    (run.output / "thesis.txt").write_text("do not lose me")
    refuse("train", run.config(objective={"loss_type": "sft"}), says=[str(run.output)])
    assert (run.output / "thesis.txt").read_text() == "do not lose me"


# --- command line ----------------------------------------------------------------------------------------------------


def test_wrong_command_line():
    for arguments in (["trian"], [], ["train"], ["train", "x.yaml", "--bogus"]):
        assert collimate(*arguments).returncode == 2, arguments


def test_messages_come_once_from_many_ranks(run):
    message = refuse("train", run.config(objective={"beta": -1}), ranks=2, says="objective.beta")
    assert message.count("objective.beta") == 1




@pytest.mark.parametrize("ranks", [1, 2])
def test_a_network_interface_that_is_not_there(run, ranks):
    says = ["runtime.interface: no0: ", "has no such network interface", "lo (127.0.0.1)"]
    refuse("train", run.config(runtime={"interface": "no0"}), ranks=ranks, says=says)

"""Checkpoints that must not be used, and folders that cannot take any: nothing is lost, and every run says which file."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from checkpoints import tensor_bytes
from jobs import BINARY, PATIENCE, REPOSITORY, collimate, in_private_mount, refuse, running, start, step_metrics, succeed, without_timing
from model_folders import VOCAB_SIZE, make_llama
from pairs import random_pairs, write_preferences

LAUNCHERS = {1: "", 2: f"{REPOSITORY}/launch/mpirun -n 2 "}
NUM_STEPS = 6


@pytest.fixture
def saved_run(scored_run):
    """Checkpoints after steps 2, 4 and 6, all kept."""
    scored_run.sections["train"] = {"max_steps": NUM_STEPS, "eval_steps": 100}
    scored_run.sections["checkpoint"] = {"save_steps": 2, "save_total_limit": 10}
    return scored_run


@pytest.fixture(scope="module")
def trained_output(tmp_path_factory):
    """Where the output folder of the first trained run is kept."""
    return tmp_path_factory.mktemp("trained") / "out"


@pytest.fixture
def trained_run(saved_run, trained_output):
    """`saved_run` after its training on one rank: done once, copied from then on."""
    if not trained_output.exists():
        succeed("train", saved_run.config())
        shutil.copytree(saved_run.output, trained_output, symlinks=True)
    else:
        shutil.copytree(trained_output, saved_run.output, symlinks=True)
    return saved_run


def step_folder(run, step):
    return run.output / "checkpoints" / f"step_{step:08}"


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def cut_rank_file(folder):
    file = folder / "rank_00000.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def missing_rank_file(folder):
    (folder / "rank_00000.safetensors").unlink()


def missing_manifest(folder):
    (folder / "manifest.json").unlink()


def flipped_manifest(folder):
    text = (folder / "manifest.json").read_bytes()
    flip(folder / "manifest.json", text.index(b'"step":') + 8)  # the number: still JSON


def flipped_piece(folder):
    flip(folder / "rank_00000.safetensors", -50)


def foreign(folder):
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "thesis.txt").write_text("do not lose me")


def nothing_in_it(folder):
    shutil.rmtree(folder)
    folder.mkdir()


# What is done to the newest checkpoint, and what the message says besides the folder's name.
DAMAGES = [
    (cut_rank_file, ["rank_00000.safetensors", "bytes; the manifest says"]),
    (missing_rank_file, ["rank_00000.safetensors", "No such file"]),
    (missing_manifest, ["manifest.json", "No such file"]),
    (flipped_manifest, ["manifest.json", "checksum"]),
    (flipped_piece, ["rank_00000.safetensors", "do not fit their checksum: the file is damaged in"]),
    (foreign, ["manifest.json", "No such file"]),
    (nothing_in_it, ["manifest.json", "No such file"]),
]


@pytest.mark.parametrize(("spoil", "says"), DAMAGES, ids=[spoil.__name__ for spoil, _ in DAMAGES])
def test_a_damaged_checkpoint_is_refused_by_name_and_the_run_goes_on_from_the_one_before(trained_run, spoil, says):
    config = trained_run.config()
    newest = step_folder(trained_run, NUM_STEPS)
    whole, metrics = tensor_bytes(newest), without_timing(step_metrics(trained_run.output))
    spoil(newest)
    spoilt = contents(newest)
    for chosen in ("latest", newest):
        refuse("evaluate", config, "--checkpoint", chosen, says=[newest.name, *says])
    refuse("train", config, "--resume", newest, says=[newest.name, *says])
    assert contents(newest) == spoilt
    done = succeed("train", config)
    assert done.stderr.count("warning: checkpoint passed over") == 1, done.stderr
    for text in (newest.name, *says, "after step 4"):
        assert text in done.stderr, done.stderr
    assert tensor_bytes(newest) == whole
    assert without_timing(step_metrics(trained_run.output)) == metrics
    # What has no manifest is no checkpoint of ours to replace.
    aside = newest.with_name(newest.name + ".aside-1")
    assert contents(aside) == spoilt if "manifest.json" not in spoilt else not aside.exists()


def test_of_two_ranks_each_file_is_verified(saved_run):
    config = saved_run.config(parallel={"data": 2})
    succeed("train", config, ranks=2)
    whole = tensor_bytes(step_folder(saved_run, NUM_STEPS))
    flip(step_folder(saved_run, NUM_STEPS) / "rank_00001.safetensors", -50)
    (step_folder(saved_run, 4) / "rank_00001.safetensors").unlink()
    done = succeed("train", config, ranks=2)
    assert done.stderr.count("warning: checkpoint passed over") == 2, done.stderr
    assert done.stderr.count("rank_00001.safetensors") == 2 and "after step 2" in done.stderr, done.stderr
    assert tensor_bytes(step_folder(saved_run, NUM_STEPS)) == whole


def test_a_folder_without_a_manifest_is_never_deleted(trained_run):
    oldest = step_folder(trained_run, 2)
    missing_manifest(oldest)
    before = contents(oldest)
    succeed("train", trained_run.config(train={"max_steps": 10}, checkpoint={"save_total_limit": 1}))
    assert [path.name for path in sorted(oldest.parent.glob("step_*"))] == [oldest.name, "step_00000010"]
    assert contents(oldest) == before


def other_weights(run):
    run.sections["model"]["path"] = str(make_llama(run.folder / "other", seed=2))
    return "model_weights"


def other_config(run):
    run.sections["model"]["path"] = str(make_llama(run.folder / "other", rms_norm_eps=1e-5))
    return "model_config"


def other_data(run):
    model = Path(run.sections["model"]["path"])
    write_preferences(run.train_file, random_pairs(24, VOCAB_SIZE, seed=7), model, VOCAB_SIZE)
    return "train_data"


@pytest.mark.parametrize("change", [other_weights, other_config, other_data])
@pytest.mark.parametrize("resume", ["auto", "path"])
def test_a_checkpoint_of_other_inputs_is_refused_with_both_values(trained_run, tmp_path, change, resume):
    checkpoint = step_folder(trained_run, NUM_STEPS)
    before = contents(trained_run.output)
    name = change(trained_run)
    trained_run.store.unlink()
    succeed("reference", trained_run.config())
    output = trained_run.output if resume == "auto" else tmp_path / "fresh"
    config = trained_run.config(output={"directory": str(output)})
    message = refuse("train", config, "--resume", resume if resume == "auto" else checkpoint, says=[checkpoint.name])
    (line,) = [line for line in message.splitlines() if line.startswith(f"  {name}: ")]
    saved, now = line.removeprefix(f"  {name}: saved with ").split(", now ")
    assert saved != now and len(saved) == len(now) == 32
    assert contents(trained_run.output) == before
    assert resume == "auto" or not output.exists()


def test_a_checkpoint_of_another_shape_is_refused_by_evaluation(trained_run):
    trained_run.sections["model"]["path"] = str(make_llama(trained_run.folder / "other", intermediate_size=96))
    trained_run.sections["objective"] = {"loss_type": "sft"}
    refuse("evaluate", trained_run.config(), says=[step_folder(trained_run, NUM_STEPS).name, "mlp", "80", "96"])


def test_checkpoints_in_a_read_only_folder_are_evaluated_but_not_trained_on(saved_run):
    succeed("train", saved_run.config(train={"max_steps": 2}))
    config, checkpoints = saved_run.config(), saved_run.output / "checkpoints"
    before = contents(saved_run.output)
    done = in_private_mount(
        f"mount --bind {checkpoints} {checkpoints} && mount -o remount,bind,ro {checkpoints} && "
        f"{BINARY} evaluate {config}; echo evaluated $?; {BINARY} train {config}"
    )
    assert "evaluated 0" in done.stdout, done.stderr
    assert done.returncode == 2, done.stderr
    assert str(checkpoints) in done.stderr and "Read-only file system" in done.stderr and done.stderr.count("error:") == 1
    assert contents(saved_run.output) == before
    succeed("train", config)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_full_disk_ends_the_run_and_once_there_is_room_it_goes_on(saved_run, ranks):
    config = saved_run.config(parallel={"data": ranks})
    succeed("train", config, ranks=ranks)
    size = sum(path.stat().st_size for path in step_folder(saved_run, 2).iterdir()) // 1024
    small = saved_run.folder / "small"
    small.mkdir()
    train = f"{LAUNCHERS[ranks]}{BINARY} train {config} --set output.directory={small}/out"
    sums = f"(cd {small}/out/checkpoints && sha256sum step_*/*)"
    # Room for two and a half.
    done = in_private_mount(
        f"mount -t tmpfs -o size={size * 5 // 2 + 64}k tmpfs {small} && {train}; echo full $?; {sums} > {saved_run.folder}/before; "
        f"ls -A {small}/out/checkpoints; {train}; echo full $?; {sums} | cmp - {saved_run.folder}/before && echo untouched; "
        f"mount -o remount,size=100m {small}; {train}; echo roomy $?; cp -a {small}/out {saved_run.folder}/after"
    )
    assert done.stdout.split() == [
        *("full", "1", "latest", "step_00000002", "step_00000004", "full", "1", "untouched", "roomy", "0")
    ], done.stdout + done.stderr  # fmt: skip
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(errors) == 2, done.stderr
    for error in errors:
        assert "step_00000006" in error and "No space left on device" in error, error
    after = saved_run.folder / "after"
    for step in (2, 4, 6):
        name = f"checkpoints/step_{step:08}"
        assert tensor_bytes(after / name) == tensor_bytes(saved_run.output / name)
    assert without_timing(step_metrics(after)) == without_timing(step_metrics(saved_run.output))


def test_a_second_run_in_the_same_folder_ends_at_once_and_does_not_disturb_the_first(saved_run, tmp_path):
    saved_run.sections["train"] |= {"max_steps": 300, "num_train_epochs": 100}
    saved_run.sections["checkpoint"] = {"save_steps": 20, "save_total_limit": 2}
    whole = saved_run.config(output={"directory": str(tmp_path / "whole")})
    succeed("train", whole)
    config = saved_run.config()
    first = start("train", config)
    while not step_folder(saved_run, 20).exists():
        assert first.poll() is None, first.stderr.read()
        time.sleep(0.005)
    message = refuse("train", config, says=[str(saved_run.output), "is being written by process", str(first.pid)])
    assert first.poll() is None, "the first had ended before the second was refused: " + message
    assert first.wait(PATIENCE) == 0, first.stderr.read()
    assert without_timing(step_metrics(saved_run.output)) == without_timing(step_metrics(tmp_path / "whole"))
    last = "checkpoints/step_00000300"
    assert tensor_bytes(saved_run.output / last) == tensor_bytes(tmp_path / "whole" / last)


def test_where_none_is_whole_nothing_starts_anew(trained_run):
    for step in (2, 4, 6):
        missing_manifest(step_folder(trained_run, step))
    before = contents(trained_run.output / "checkpoints")
    done = collimate("train", trained_run.config())
    assert done.returncode == 1 and "none of the 3 checkpoints verifies" in done.stderr, done.stderr
    assert contents(trained_run.output / "checkpoints") == before


def test_a_checkpoint_of_another_identity_is_refused_by_each_field(trained_run, tmp_path):
    checkpoint, elsewhere = step_folder(trained_run, 4), tmp_path / "elsewhere"
    config = trained_run.config(objective={"beta": 0.5}, output={"directory": str(elsewhere)})
    refuse("train", config, "--resume", checkpoint, says=[str(checkpoint), "objective.beta: 0.1 there, 0.5 now", "--allow-change"])
    assert not elsewhere.exists()
    done = succeed("train", config, "--resume", checkpoint, "--allow-change", "objective.beta")
    assert "changed since: objective.beta" in done.stderr and "after step 4" in done.stderr
    assert [line["step"] for line in step_metrics(elsewhere)] == [5, 6]


def test_a_rank_that_is_slow_is_waited_for(scored_run):
    """One of two ranks stands still, time and again, while every step is saved behind the next one."""
    scored_run.sections["train"] = {"max_steps": 150, "num_train_epochs": 100, "eval_steps": 1000}
    scored_run.sections["checkpoint"] = {"save_steps": 1, "save_total_limit": 1000, "buffer_bytes": 0}
    whole, slow = (scored_run.output.with_name(name) for name in ("whole", "slow"))

    def config_of(folder):
        return scored_run.config(parallel={"data": 2}, output={"directory": str(folder)})

    succeed("train", config_of(whole), ranks=2)
    config = config_of(slow)
    job = start("train", config, ranks=2)
    num_stops = 0
    while job.poll() is None and num_stops < 8:
        time.sleep(0.3)
        own = running(BINARY, "train", config)
        if len(own) < 2 or not list(slow.glob("checkpoints/step_*")):
            continue
        os.kill(own[num_stops % 2], signal.SIGSTOP)
        time.sleep(0.2)
        os.kill(own[num_stops % 2], signal.SIGCONT)
        num_stops += 1
    assert job.wait(PATIENCE) == 0, job.stderr.read()
    assert num_stops > 2
    assert without_timing(step_metrics(slow)) == without_timing(step_metrics(whole))
    for step in range(1, 151):
        folder = f"checkpoints/step_{step:08}"
        assert tensor_bytes(slow / folder) == tensor_bytes(whole / folder), folder

"""The weights' fingerprint: the same from any number of ranks, kept beside the model folder, never believed of other files."""

import json
import os
import time
from pathlib import Path

import h5py
import pytest
from jobs import refuse, succeed
from model_folders import make_llama
from xxhash import xxh3_128_hexdigest

PLANTED = "0123456789abcdef0123456789abcdef"


def fingerprint_of(weights: Path) -> str:
    """As docs/formats.md has it."""
    raw = weights.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    data = raw[8 + size :]
    header = {name: tensor for name, tensor in json.loads(raw[8 : 8 + size]).items() if name != "__metadata__"}
    lines = (
        f"{name} {tensor['dtype']} [{','.join(map(str, tensor['shape']))}] {xxh3_128_hexdigest(data[slice(*tensor['data_offsets'])])}\n"
        for name, tensor in sorted(header.items())
    )
    return xxh3_128_hexdigest("".join(lines).encode())


def stored_fingerprint(run) -> str:
    with h5py.File(run.store) as file:
        return file.attrs["weights_fingerprint"].decode()


def plant(cache: Path) -> None:
    """Another fingerprint of the same files, with a checksum that holds."""
    content = json.loads(cache.read_text())
    text = cache.read_text().replace(content["fingerprint"], PLANTED)
    unsealed = text.replace(content["checksum"], "0" * 32)
    cache.write_text(text.replace(content["checksum"], xxh3_128_hexdigest(unsealed.encode())))


@pytest.fixture
def settled_run(run, tmp_path):
    """A run of a model folder of its own, whose files have not changed for a while."""
    folder = make_llama(tmp_path / "model")
    run.sections["model"]["path"] = f"{folder}/"
    time.sleep(2.1)
    return run


def test_any_number_of_ranks_finds_and_keeps_the_same(settled_run):
    folder = Path(settled_run.sections["model"]["path"])
    cache = folder.with_name("model.fingerprint.json")
    before = {path.name for path in folder.iterdir()}
    for ranks in (1, 2, 3):
        succeed("reference", settled_run.config(parallel={"data": ranks}), ranks=ranks)
        assert stored_fingerprint(settled_run) == fingerprint_of(folder / "model.safetensors")
        content = json.loads(cache.read_text())
        assert (content["format"], content["format_version"]) == ("collimate.fingerprint", 2)
        assert content["fingerprint"] == stored_fingerprint(settled_run)
        assert [file["name"] for file in content["files"]] == ["model.safetensors"]
        settled_run.store.unlink()
        cache.unlink()
    assert {path.name for path in folder.iterdir()} == before


@pytest.mark.parametrize("ranks", [1, 2])
def test_weights_that_have_not_changed_are_not_read_again(settled_run, ranks):
    weights = Path(settled_run.sections["model"]["path"]) / "model.safetensors"
    config = settled_run.config(parallel={"data": ranks})
    succeed("reference", config, ranks=ranks)
    true_one = stored_fingerprint(settled_run)
    plant(weights.parent.with_name("model.fingerprint.json"))
    refuse("train", config, ranks=ranks, says=[f"the store has {true_one}, this run has {PLANTED}"])
    if ranks == 1:
        refuse("check", config, says=PLANTED)

    # One bit, in place, with the time of modification put back.
    status = weights.stat()
    with weights.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        byte = file.read(1)[0]
        file.seek(-4, os.SEEK_END)
        file.write(bytes([byte ^ 1]))
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    refuse("train", config, ranks=ranks, says=[f"the store has {true_one}, this run has {fingerprint_of(weights)}"])

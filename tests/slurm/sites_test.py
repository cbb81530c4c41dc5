"""The jobs of configs/ for clusters of GPUs, as their own files say that they are submitted and planned: nothing is changed here."""

import json
import math
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from jobs import BINARY, PATIENCE, REPOSITORY
from model_folders import write_tokenizer
from pairs import Pair, write_preferences
from safetensors import safe_open

MODEL = REPOSITORY / "configs/models/llama-3.1-70b.json"
CONFIGS = {64: "configs/llama-3.1-70b-dpo-64-gpus.yaml", 512: "configs/llama-3.1-70b-dpo-512-gpus.yaml"}
GPUS = sorted(CONFIGS)
RANKS_OF_A_COPY = {64: 16, 512: 32}
NUM_PARAMETERS = 70_553_706_496
MOST_BYTES = 80e9
GIB = 1024**3


def tensors_of(config: dict) -> list[tuple[str, list[int]]]:
    """Names and shapes of a Llama's tensors, layer after layer."""
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    queries, keys = (config[f"num_{kind}_heads"] * config["head_dim"] for kind in ("attention", "key_value"))
    layer = {
        "input_layernorm": [hidden], "post_attention_layernorm": [hidden],
        "self_attn.q_proj": [queries, hidden], "self_attn.o_proj": [hidden, queries],
        "self_attn.k_proj": [keys, hidden], "self_attn.v_proj": [keys, hidden],
        "mlp.gate_proj": [wide, hidden], "mlp.up_proj": [wide, hidden], "mlp.down_proj": [hidden, wide],
    }  # fmt: skip
    outside = {"model.embed_tokens": [config["vocab_size"], hidden], "model.norm": [hidden], "lm_head": [config["vocab_size"], hidden]}
    layers = {f"model.layers.{i}.{name}": shape for i in range(config["num_hidden_layers"]) for name, shape in layer.items()}
    return [(f"{name}.weight", shape) for name, shape in (layers | outside).items()]


def write_sparse_model(folder: Path) -> Path:
    """A model folder of 141 GB that takes no room: its weights are holes in the files."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(MODEL.read_text())
    write_tokenizer(folder)
    tensors = tensors_of(json.loads(MODEL.read_text()))
    places, num_shards = {}, 30
    for shard in range(num_shards):
        header, end = {}, 0
        for name, shape in tensors[shard::num_shards]:
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end := end + 2 * math.prod(shape)]}
        text = json.dumps(header).encode()
        file = folder / f"model-{shard + 1:05}-of-{num_shards:05}.safetensors"
        with open(file, "wb") as out:
            out.write(len(text).to_bytes(8, "little") + text)
            out.truncate(8 + len(text) + end)
        places |= dict.fromkeys(header, file.name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder in which the configurations find what they name: pairs of about 1000 tokens, and a long one."""
    site = tmp_path_factory.mktemp("site")
    (site / "configs").symlink_to(REPOSITORY / "configs")
    model = write_sparse_model(site / "models/llama-3.1-70b-sft")
    (site / "data").mkdir()

    def pair(number: int) -> Pair:
        lengths = (2000, 1000, 1000) if number == 7 else (200 + number % 200, 300 + number % 100, 350 + number % 90)
        return Pair(*([number % 100_000 + 5] * length for length in lengths))

    for name, numbers in (("train", range(1024)), ("eval", range(2000, 2032))):
        write_preferences(site / f"data/{name}.h5", [pair(i) for i in numbers], model, 128256)
    return site


def documented(gpus: int, begin: str) -> list[list[str]]:
    """The commands in the head of a configuration that begin so."""
    head = re.findall(r"^# *(.*)$", (REPOSITORY / CONFIGS[gpus]).read_text(), re.MULTILINE)
    return [shlex.split(line) for line in head if line.startswith(begin)]


def run(command: list[str], site: Path, *more: str) -> subprocess.CompletedProcess:
    programs = {"launch/submit": [REPOSITORY / "launch/submit", f"--program={BINARY}", "--dry-run"], "collimate": [BINARY]}
    line = [str(word) for word in (*programs[command[0]], *command[1:], *more)]
    return subprocess.run(line, cwd=site, capture_output=True, text=True, timeout=PATIENCE)


def submit(gpus: int, site: Path, *more: str) -> subprocess.CompletedProcess:
    return run(documented(gpus, "launch/submit")[1], site, *more)


def planned(gpus: int, site: Path, *more: str) -> tuple[float, subprocess.CompletedProcess]:
    """The most bytes that the documented plan gives a rank at any time, and all that it says; `more` replaces options."""
    (command,) = documented(gpus, "collimate plan")
    for option in [option for option in more if option.split("=")[0] in command]:
        name, value = option.split("=")
        command[command.index(name) + 1] = value
    done = run(command, site, *(option for option in more if option.startswith("--set")))
    found = re.findall(r"^rank \d+: (\S+) GiB in a step .* (\S+) GiB before it", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    return max(float(amount) for line in found for amount in line) * GIB, done


def test_the_stand_in_has_the_tensors_of_the_model(site):
    files = sorted((site / "models/llama-3.1-70b-sft").glob("*.safetensors"))
    total = 0
    for file in files:
        with safe_open(file, framework="pt") as opened:
            total += sum(math.prod(opened.get_slice(name).get_shape()) for name in opened.keys())
    assert total == NUM_PARAMETERS
    assert sum(file.stat().st_blocks * 512 for file in files) < 10**8


@pytest.mark.parametrize("verb", ["reference", "train"])
@pytest.mark.parametrize("gpus", GPUS)
def test_the_documented_command_gives_a_job_for_all_nodes(site, gpus, verb):
    commands = documented(gpus, "launch/submit")
    assert len(commands) == 2
    command = commands[0 if verb == "reference" else 1]
    done = run(command, site)
    assert done.returncode == 0, done.stderr
    check = subprocess.run(["bash", "-n"], input=done.stdout, capture_output=True, text=True)
    assert (check.returncode, check.stderr) == (0, "")
    lines = {line.removeprefix("#SBATCH ") for line in done.stdout.splitlines() if line.startswith("#SBATCH")}
    assert {f"--nodes={gpus // 8}", "--ntasks-per-node=8", "--gpus-per-node=8", "--cpus-per-task=12", "--requeue"} <= lines
    assert f"--signal=USR1@{600 if verb == 'train' else 120}" in lines
    assert f'--job-name="llama-3.1-70b-dpo-{gpus}-gpus"' in lines and f'--chdir="{site}"' in lines
    output = f"{site}/out/llama-3.1-70b-dpo-{gpus}-gpus"
    assert f"outputs[0]='{output}' stores[0]='{site}/out/llama-3.1-70b-reference.h5'" in done.stdout
    assert f"\nverb='{verb}'\nconfig='{site}/{CONFIGS[gpus]}'\nnum_ranks='{gpus}'\ncpus_per_task='12'\n" in done.stdout
    assert 'srun --mpi=pmix --ntasks="$num_ranks" --cpus-per-task="$cpus_per_task"' in done.stdout
    assert not (site / "out").exists()


@pytest.mark.parametrize("gpus", GPUS)
def test_it_goes_on_with_fewer_nodes_that_are_whole_copies_and_with_no_others(site, gpus):
    nodes, nodes_of_a_copy = gpus // 8, RANKS_OF_A_COPY[gpus] // 8
    done = submit(gpus, site, f"--nodes={nodes - nodes_of_a_copy}")
    assert done.returncode == 0, done.stderr
    assert f"num_ranks='{gpus - RANKS_OF_A_COPY[gpus]}'" in done.stdout
    refused = submit(gpus, site, f"--nodes={nodes - 1}")
    assert refused.returncode == 2 and refused.stdout == ""
    assert f"{gpus - 8} ranks" in refused.stderr, refused.stderr


@pytest.mark.parametrize("gpus", GPUS)
def test_a_trial_fits_on_four_nodes_and_not_on_two(site, gpus):
    done = submit(gpus, site, "--nodes=4", "--set=train.max_steps=20", "--set=output.directory=out/trial")
    assert done.returncode == 0, done.stderr
    assert f"outputs[0]='{site}/out/trial'" in done.stdout
    refused = submit(gpus, site, "--nodes=2")
    assert refused.returncode == 2 and refused.stdout == ""
    assert ("would take" if RANKS_OF_A_COPY[gpus] <= 16 else "16 ranks") in refused.stderr, refused.stderr


@pytest.mark.parametrize("gpus", GPUS)
def test_a_degree_that_the_model_does_not_have_is_refused(site, gpus):
    refused = submit(gpus, site, "--set=parallel.tensor=3", "--tasks-per-node=3", "--nodes=64")
    assert refused.returncode == 2 and refused.stdout == ""
    assert "parallel.tensor: 3" in refused.stderr


@pytest.mark.parametrize("gpus", GPUS)
def test_the_plan_fits_and_is_what_the_file_says(site, gpus):
    most, done = planned(gpus, site)
    assert done.returncode == 0, done.stderr
    assert most < MOST_BYTES
    (bubble,) = re.findall(r"bubble (\S+) %", done.stdout)
    assert f"at most {most / GIB:.1f} GiB of tensors on a rank, bubble {bubble} %" in (REPOSITORY / CONFIGS[gpus]).read_text()
    assert f"ranks: {gpus} = data {gpus // RANKS_OF_A_COPY[gpus]} x pipeline {RANKS_OF_A_COPY[gpus] // 8} x tensor 8" in done.stdout


@pytest.mark.parametrize(
    ("gpus", "options", "says"),
    [
        (64, ["--set=parallel.pipeline=1", "--set=parallel.schedule=1f1b"], "take {memory} GiB, with nothing to spare"),
        (64, ["--ranks=48"], "6 nodes ({memory} GiB)"),
        (64, ["--ranks=32"], "4 ({memory} GiB)"),
        (512, ["--ranks=480"], "60 nodes ({memory} GiB)"),
        (512, ["--microbatches=2"], "bubble of {bubble}"),
    ],
)
def test_what_else_a_file_says_of_its_plan(site, gpus, options, says):
    most, done = planned(gpus, site, *options)
    assert done.returncode == 0, done.stderr
    (bubble,) = re.findall(r"bubble (\S+ %)", done.stdout)
    text = re.sub(r"\n# *", " ", (REPOSITORY / CONFIGS[gpus]).read_text())
    assert says.format(memory=f"{most / GIB:.1f}", bubble=bubble) in text


@pytest.mark.parametrize("gpus", GPUS)
def test_a_budget_below_the_plan_is_refused_before_anything_is_submitted(site, gpus):
    most, _ = planned(gpus, site)
    cut = f"--set=runtime.memory_bytes={int(most) - GIB}"
    _, done = planned(gpus, site, cut)
    assert done.returncode == 2 and "(runtime.memory_bytes)" in done.stderr
    # The check before submitting counts the pairs' own microbatches, so its plan is a little smaller.
    fits = submit(gpus, site, f"--set=runtime.memory_bytes={int(most)}")
    assert fits.returncode == 0, fits.stderr
    refused = submit(gpus, site, f"--set=runtime.memory_bytes={int(most) - 8 * GIB}")
    assert refused.returncode == 2 and refused.stdout == ""
    assert "would take" in refused.stderr and "(runtime.memory_bytes)" in refused.stderr


def test_a_model_that_is_not_there_yet_can_be_planned_as_the_page_for_sites_says(site, tmp_path):
    (options,) = re.findall(r"collimate plan .*--microbatches 8 \\\n +(--set .*)\n", (REPOSITORY / "docs/slurm.md").read_text())
    (tmp_path / "configs").symlink_to(REPOSITORY / "configs")
    for gpus in GPUS:
        most, done = planned(gpus, tmp_path, *options.replace("--set ", "--set=").split())
        assert done.returncode == 0, done.stderr
        assert most == planned(gpus, site)[0]

"""README's section "By hand", line by line, in a folder that has nothing but what a person brings."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jobs import BINARY, PATIENCE, REPOSITORY, environment_of, refuse, succeed, write_config
from model_folders import VOCAB_SIZE, make_llama

SECTION = (REPOSITORY / "README.md").read_text().split("\n## By hand\n")[1].split("\n## ")[0]
COMMANDS = [line for line in re.search(r"```\n(.*?)```", SECTION, re.DOTALL).group(1).splitlines() if line]
CONFIGURATION = re.search(r"```yaml\n(.*?)```", SECTION, re.DOTALL).group(1)

# What a clone has where README looks for it, as the command of a build in another folder.
PROGRAMS = {
    r"^\.venv/bin/python tools/": f"{sys.executable} {REPOSITORY}/tools/",
    r"build/release/bin/collimate": str(BINARY),
    r"^launch/submit (\S+)": rf"{REPOSITORY}/launch/submit \1 --program={BINARY} --dry-run",
    r"^launch/": f"{REPOSITORY}/launch/",
}
# What each command leaves, by the words that tell it.
OUTPUTS = {
    "--output data/train.h5": "data/train.h5",
    "--output data/eval.h5": "data/eval.h5",
    "collimate check": None,
    "collimate plan": "schedule.svg",
    "collimate reference": "out/reference.h5",
    "collimate train": "out/run1/checkpoints/latest/manifest.json",
    "launch/submit": None,
    "collimate evaluate": None,
    "collimate export": "aligned/model.safetensors",
    "collimate inspect": None,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The model folder MODEL, preference text and the configuration."""
    make_llama(tmp_path / "MODEL")
    for name, first, number in (("pairs.jsonl", 0, 128), ("held_out.jsonl", 128, 16)):
        rows = [{"prompt": word(i), "chosen": f" {word(i + 1)} {word(i // 9)}", "rejected": f" {word(i + 2)}"}
                for i in range(first, first + number)]  # fmt: skip
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "run.yaml").write_text(CONFIGURATION)
    return tmp_path


def word(number: int) -> str:
    return f"w{3 + number % (VOCAB_SIZE - 3)}"


def tokenize(folder: Path, source: str, output: str) -> None:
    program = str(REPOSITORY / "tools/tokenize_preferences.py")
    options = ["--model", "MODEL", "--input", source, "--output", output, "--max-length", "64"]
    subprocess.run([sys.executable, program, *options], cwd=folder, check=True, timeout=PATIENCE, capture_output=True)


def files_in(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*")}


def test_every_command_of_the_readme_does_what_it_says(folder):
    assert len(COMMANDS) == len(OUTPUTS)
    for line, (words, output) in zip(COMMANDS, OUTPUTS.items(), strict=True):
        assert words in line
        assert output is None or not (folder / output).exists(), "by an earlier command"
        for written, meant in PROGRAMS.items():
            line = re.sub(written, meant, line)
        before = files_in(folder)
        done = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=PATIENCE, env=environment_of(1))
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        if output is None:
            assert done.stdout and files_in(folder) == before, line
        else:
            assert (folder / output).is_file(), line
    assert not list(folder.rglob("*.lock"))


def test_a_command_that_is_refused_makes_no_folder(folder):
    for source, output in (("pairs.jsonl", "data/train.h5"), ("held_out.jsonl", "data/eval.h5")):
        tokenize(folder, source, output)
    before = files_in(folder)
    too_large = ["--set", "runtime.memory_bytes=1000"]
    refuse("plan", "run.yaml", "--schedule-svg", "pictures/a.svg", *too_large, cwd=folder, says="runtime.memory_bytes")
    for ranks in (1, 2):
        refuse("reference", "run.yaml", *too_large, cwd=folder, ranks=ranks, says="runtime.memory_bytes")
        refuse("train", "run.yaml", cwd=folder, ranks=ranks, says="out/reference.h5")
        refuse("train", "run.yaml", "--set", "reference.score=at_start", *too_large, cwd=folder, ranks=ranks, says="runtime.memory_bytes")
    refuse("export", "run.yaml", "--output", "deep/aligned", cwd=folder, says="--checkpoint latest")
    assert files_in(folder) - {"MODEL.fingerprint.json"} == before


def test_every_other_output_makes_its_folders_too(folder):
    write_config(folder / "run.yaml", {
        "model": {"path": "MODEL"},
        "reference": {"store": "a/b/reference.h5", "score": "at_start"},
        "data": {"train": "c/d/train.h5"},
        "train": {"max_steps": 1},
        "runtime": {"trace": "e/f/trace.json"},
        "output": {"directory": "g/h/run"},
    })  # fmt: skip
    tokenize(folder, "pairs.jsonl", "c/d/train.h5")
    succeed("plan", "run.yaml", "--schedule-svg", "i/j/a.svg", cwd=folder)
    succeed("train", "run.yaml", cwd=folder)
    succeed("export", "run.yaml", "--output", "k/l/aligned", cwd=folder)
    for output in ("a/b/reference.h5", "e/f/trace.json", "g/h/run/metrics.jsonl", "i/j/a.svg", "k/l/aligned/config.json"):
        assert (folder / output).is_file()

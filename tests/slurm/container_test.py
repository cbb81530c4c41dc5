"""cluster/collimate.def: there is no Apptainer to build it with, so it is read, and what can be run of it is."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from jobs import REPOSITORY

RECIPE = REPOSITORY / "cluster/collimate.def"
# Packages that launch/setup installs for building again and again, and for tests.
NOT_IN_THE_IMAGE = {
    "ccache", "libgtest-dev", "libgmock-dev", "universal-ctags", "procps",
    "slurmctld", "slurmd", "slurm-client", "slurm-wlm-basic-plugins", "munge",
}  # fmt: skip
# And what the image needs besides: a compiler by its version, and what NCCL loads for the fabric.
ONLY_IN_THE_IMAGE = {"gcc-12", "g++-12", "libibverbs1", "ibverbs-providers"}


def sections_of(text: str) -> dict[str, str]:
    """The header under "", and each section under its name, without the comments in front of the header."""
    sections, name = {"": ""}, ""
    for line in text.splitlines():
        if line.startswith("%"):
            name = line[1:].strip()
            assert name not in sections, f"two sections {name}"
            sections[name] = ""
        elif name or not line.startswith("#"):
            sections[name] += line + "\n"
    return sections


@pytest.fixture(scope="module")
def sections() -> dict[str, str]:
    return sections_of(RECIPE.read_text())


def words_of(pattern: str, text: str) -> set[str]:
    (match,) = re.findall(pattern, text, re.MULTILINE | re.DOTALL)
    return set(match.split())


def script_line(script: str, begin: str) -> str:
    (line,) = [line.strip() for line in script.splitlines() if line.strip().startswith(begin)]
    return line


@pytest.mark.parametrize("shell", ["bash", "dash"])
@pytest.mark.parametrize("name", ["post", "test", "environment", "runscript"])
def test_every_script_is_one_that_a_shell_can_read(sections, name, shell):
    done = subprocess.run([shell, "-n"], input=sections[name], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert sections[name].strip()


def test_a_command_that_fails_ends_the_build(sections):
    assert all(sections[name].split("\n")[0].strip() == "set -eu" for name in ("post", "test"))


def test_the_image_has_the_packages_that_setup_installs_but_for_those_of_tests(sections):
    setup = words_of(r"^readonly debian_packages=\((.*?)\)", (REPOSITORY / "launch/setup").read_text())
    image = words_of(r'^ *packages="(.*?)"', sections["post"])
    assert NOT_IN_THE_IMAGE <= setup
    assert image == (setup - NOT_IN_THE_IMAGE) | ONLY_IN_THE_IMAGE


def test_versions_are_those_of_the_build_outside(sections):
    header = dict(line.split(": ", 1) for line in sections[""].splitlines() if line)
    assert header["Bootstrap"] == "docker"
    cuda = re.fullmatch(r"docker\.io/nvidia/cuda:(\d+\.\d+)\.\d+-base-ubuntu24\.04", header["From"]).group(1)
    headers = words_of(r"^readonly cuda_packages=\((.*?)\)", (REPOSITORY / "launch/check-gpu-build").read_text())
    assert headers and all(package.endswith(f'=={cuda}.*"') for package in headers)
    assert set(re.findall(r'"nvidia-[^"]*"', sections["post"])) == headers
    (version,) = re.findall(r"^project\(collimate VERSION (\S+)", (REPOSITORY / "CMakeLists.txt").read_text(), re.MULTILINE)
    assert f"image.version {version}\n" in sections["labels"]


def test_torch_and_the_tools_packages_are_taken_from_the_requirements(sections, tmp_path):
    (tmp_path / "tools").mkdir()
    shutil.copy(REPOSITORY / "tools/requirements.txt", tmp_path / "tools")
    script = script_line(sections["post"], "version=") + "\n" + script_line(sections["post"], "sed ") + '\necho "$version"'
    done = subprocess.run(["sh", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    pinned = re.findall(r"^([^#\s]+)$", (REPOSITORY / "tools/requirements.txt").read_text(), re.MULTILINE)
    assert f"torch=={done.stdout.strip()}" in pinned
    kept = re.findall(r"^([^#\s]+)$", (tmp_path / "tools.txt").read_text(), re.MULTILINE)
    left_out = set(pinned) - set(kept)
    assert {package.split("==")[0] for package in left_out} == {"clang-format", "clang-tidy", "pytest"}
    assert '"torch===$version"' in sections["post"] and "--requirement tools.txt" in sections["post"]


def test_no_index_or_registry_is_named_but_the_public_one(sections):
    assert not re.search(r"https?://|index-url|--find-links", RECIPE.read_text())
    assert re.findall(r"\w+\.io/\S+", RECIPE.read_text()) == ["docker.io/library/debian:12", "docker.io/nvidia/cuda:13.0.2-base-ubuntu24.04"]


def test_the_files_that_are_copied_are_all_that_cmake_asks_for(sections, tmp_path):
    source = tmp_path / "collimate"
    source.mkdir()
    for line in sections["files"].splitlines():
        if not line.strip():
            continue
        name, target = line.split()
        assert Path(target) == Path("/usr/local/src/collimate") / name
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, source / name)
        else:
            shutil.copy(REPOSITORY / name, source / name)
    torch = (REPOSITORY / ".venv/libtorch").resolve()
    command = script_line(sections["post"], "cmake --preset")
    done = subprocess.run(["sh", "-euc", command], cwd=source, env={"PATH": "/usr/bin:/bin", "torch": str(torch)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rules = (source / "build/build.ninja").read_text()
    assert f"-isystem {torch}/include" in rules and "-O3" in rules
    # What `cmake --install` takes.
    installed = set(re.findall(r'"([^"]*/collimate/[^"]*)"', (source / "build/cmake_install.cmake").read_text()))
    missing = [path for path in installed if path.startswith(str(source)) and not path.startswith(str(source / "build")) and not Path(path).exists()]
    assert installed and missing == []

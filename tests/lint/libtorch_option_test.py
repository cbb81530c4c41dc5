"""Another libtorch by one option: COLLIMATE_LIBTORCH, with a clear error for what is none."""

import os
import subprocess
from pathlib import Path

import pytest
from source_tree import ROOT

WHEEL = (ROOT / ".venv/libtorch").resolve()


def configure(build: Path, libtorch: Path, *more: str) -> subprocess.CompletedProcess[str]:
    # -G Ninja as in the presets; no tests, since only the libraries are looked for.
    options = ["-G", "Ninja", f"-DCOLLIMATE_LIBTORCH={libtorch}", "-DCOLLIMATE_BUILD_TESTS=OFF", *more]
    return subprocess.run(["cmake", "-S", ROOT, "-B", build, *options], text=True, capture_output=True)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A libtorch folder elsewhere, made of links."""
    folder = tmp_path / "libtorch"
    (folder / "lib").mkdir(parents=True)
    (folder / "include").symlink_to(WHEEL / "include")
    for library in (WHEEL / "lib").glob("*.so*"):
        (folder / "lib" / library.name).symlink_to(library)
    return folder


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode != 0
    return " ".join(done.stderr.split())


def test_another_folder_is_taken(tmp_path: Path, copy: Path):
    done = configure(tmp_path / "build", copy)
    assert done.returncode == 0, done.stderr
    assert f"(CPU): {copy}" in done.stdout
    assert f"-isystem {copy}/include" in (tmp_path / "build/build.ninja").read_text()


@pytest.fixture
def cuda_copy(copy: Path) -> Path:
    """What looks like a CUDA build of it, with the headers of CUDA beside it."""
    for library in ("libtorch_cuda.so", "libc10_cuda.so"):
        (copy / "lib" / library).symlink_to(WHEEL / "lib/libc10.so")
    cuda = ("cuda_runtime_api.h", "crt/host_defines.h", "nv/target", "cusparse.h")
    for name in [f"cu13/include/{name}" for name in cuda] + [
        "nccl/include/nccl.h", "cu13/lib/libcudart.so.13", "cu13/bin/nvcc",
    ]:  # fmt: skip
        file = copy.parent / "nvidia" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o755)
    return copy


def test_a_cuda_build_has_the_nccl_backend(tmp_path: Path, cuda_copy: Path):
    done = configure(tmp_path / "build", cuda_copy)
    assert done.returncode == 0, done.stderr
    assert f"(CUDA): {cuda_copy}" in done.stdout
    rules = (tmp_path / "build/build.ninja").read_text()
    assert "nccl/nccl.cpp" in rules and "nccl/no_nccl.cpp" not in rules
    assert "cuda/kernels.cpp" in rules and "cuda/no_cuda.cpp" not in rules
    assert f"{cuda_copy.parent}/nvidia/cu13/bin/nvcc" in rules.replace("/libtorch/..", "")


def test_a_cuda_build_without_headers_of_nccl_is_refused(tmp_path: Path, cuda_copy: Path):
    (cuda_copy.parent / "nvidia/nccl/include/nccl.h").unlink()
    done = configure(tmp_path / "build", cuda_copy)
    assert f"COLLIMATE_LIBTORCH: {cuda_copy} is a CUDA build, but nccl.h was found neither" in error_of(done)


def test_a_cuda_build_without_its_compiler_is_refused(tmp_path: Path, cuda_copy: Path):
    (cuda_copy.parent / "nvidia/cu13/bin/nvcc").unlink()
    # Nor is one of the machine's own looked at.
    elsewhere = {"/usr/local/cuda/bin", *(folder for folder in os.environ["PATH"].split(":") if Path(folder, "nvcc").exists())}
    done = configure(tmp_path / "build", cuda_copy, f"-DCMAKE_IGNORE_PATH={';'.join(elsewhere)}")
    assert f"COLLIMATE_LIBTORCH: {cuda_copy} is a CUDA build, but nvcc was found neither" in error_of(done)


def test_a_folder_that_is_no_libtorch_is_refused_by_name(tmp_path: Path):
    error = error_of(configure(tmp_path / "build", tmp_path))
    assert f"COLLIMATE_LIBTORCH: {tmp_path}: this is no libtorch folder: it has no include/ATen/ATen.h" in error
    assert "launch/setup" in error


def test_a_folder_without_its_libraries_is_refused(tmp_path: Path, copy: Path):
    (copy / "lib/libtorch_cpu.so").unlink()
    assert f"COLLIMATE_LIBTORCH: {copy}: lib/ has no libtorch_cpu.so" in error_of(configure(tmp_path / "build", copy))

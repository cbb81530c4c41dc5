"""The project's files and their includes, as text: what the lint tests look at."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ["include", "src", "tests", "launch", "tools", "bench", "cmake", "configs", "cluster", "docs", ".ci"]
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
# The headers of MPI, libtorch and HDF5.
IMPURE = re.compile(r"^(mpi\.h|mpi-ext\.h|torch/|ATen/|c10/|caffe2/|hdf5|H5)")


@dataclass(frozen=True)
class SourceTree:
    """A checkout at `root`; the tests of the tests make small ones."""

    root: Path

    @cached_property
    def cpp_files(self) -> list[Path]:
        """Headers and sources of the modules and the program, without tests."""
        return sorted(f for part in ("include", "src") for f in (self.root / part).rglob("*.[ch]pp"))

    @cached_property
    def all_files(self) -> list[Path]:
        """Every text file of the project, without what is made or fetched."""
        files = [f for part in PARTS for f in (self.root / part).rglob("*")] + list(self.root.glob("*"))
        return sorted(f for f in files if f.is_file() and "__pycache__" not in f.parts and is_text(f))

    def module(self, file: Path) -> str:
        """The module that owns a file below include/collimate or src, for example `comm`."""
        parts = file.relative_to(self.root).parts
        return parts[2] if parts[0] == "include" else parts[1]

    def header(self, name: str) -> Path:
        """The file behind `#include "collimate/..."`."""
        return self.root / "include" / name

    def impure_path(self, file: Path) -> list[str]:
        """A chain of includes from `file` to a header of MPI, libtorch or HDF5; empty where there is none."""
        return self._search(file, set())

    def _search(self, file: Path, seen: set[Path]) -> list[str]:
        if file in seen or not file.is_file():
            return []
        seen.add(file)
        for name in includes(file):
            if IMPURE.match(name):
                return [self.name(file), name]
            own = self.header(name) if name.startswith("collimate/") else file.parent / name
            if chain := self._search(own, seen):
                return [self.name(file), *chain]
        return []

    def name(self, file: Path) -> str:
        return str(file.relative_to(self.root))


def includes(file: Path) -> list[str]:
    """The names that a file includes, quoted or in angle brackets."""
    return [quoted or angled for quoted, angled in INCLUDE.findall(file.read_text())]


def quoted_includes(file: Path) -> list[str]:
    return [quoted for quoted, _ in INCLUDE.findall(file.read_text()) if quoted]


def is_text(file: Path) -> bool:
    with file.open("rb") as stream:
        return b"\0" not in stream.read(8192)


def write(root: Path, files: dict[str, str]) -> SourceTree:
    """Makes a small tree, for the tests that a rule finds what it is there to find."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return SourceTree(root)

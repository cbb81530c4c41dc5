"""Pure modules know neither MPI, nor libtorch, nor HDF5: not in their text, not in what they link."""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from source_tree import ROOT, SourceTree, includes, write

BUILD = Path(os.environ["COLLIMATE_BUILD"])
IMPURE_LIBRARY = re.compile(r"lib(mpi|open-|torch|c10|hdf5|gomp)\S*")


def pure_sources() -> list[Path]:
    return [Path(line) for line in (BUILD / "pure_sources.txt").read_text().split()]


def pure_headers(tree: SourceTree) -> list[Path]:
    return [f for f in tree.cpp_files if f.is_relative_to(ROOT / "include") and not tree.impure_path(f)]


def headers_that_clang_tidy_compiles(sources: list[Path]) -> set[Path]:
    """Those that a pure source includes before all else: lint_tidy_pure compiles each such source by itself, without a precompiled header."""
    return {ROOT / "include" / names[0] for file in sources if (names := includes(file))}


def needed_libraries(binary: Path) -> list[str]:
    """All that the loader would load for a binary, at any depth."""
    return re.findall(r"^\s*(\S+)", subprocess.run(["ldd", binary], check=True, text=True, capture_output=True).stdout, re.MULTILINE)


def test_pure_sources_reach_no_impure_header():
    tree = SourceTree(ROOT)
    assert pure_sources()
    assert [" -> ".join(chain) for file in pure_sources() if (chain := tree.impure_path(file))] == []


def test_all_pure_objects_together_need_no_impure_library():
    libraries = needed_libraries(BUILD / "tests/lint/pure_probe")
    assert any(name.startswith("libstdc++") for name in libraries)
    assert [name for name in libraries if IMPURE_LIBRARY.match(name)] == []


def test_pure_headers_compile_alone():
    headers = set(pure_headers(SourceTree(ROOT))) - headers_that_clang_tidy_compiles(pure_sources())
    assert headers
    command = ["c++", "-std=c++20", "-fsyntax-only", f"-I{ROOT}/include", "-x", "c++", "-"]

    def errors(header: Path) -> str:
        line = f'#include "{header.relative_to(ROOT / "include")}"\n'
        return subprocess.run(command, input=line, text=True, capture_output=True).stderr

    with ThreadPoolExecutor(2) as pool:
        assert [text for text in pool.map(errors, sorted(headers)) if text] == []


def test_a_hidden_impure_header_is_found(tmp_path: Path):
    tree = write(tmp_path, {
        "src/mesh/shape.cpp": '#include "shape_detail.hpp"\n',
        "src/mesh/shape_detail.hpp": '#include "collimate/comm/handle.hpp"\n',
        "include/collimate/comm/handle.hpp": "#include <mpi.h>\n",
    })  # fmt: skip
    assert tree.impure_path(tmp_path / "src/mesh/shape.cpp")[-1] == "mpi.h"


def test_an_impure_library_is_found():
    assert IMPURE_LIBRARY.match("libmpi.so.40") and IMPURE_LIBRARY.match("libtorch_cpu.so") and IMPURE_LIBRARY.match("libhdf5_openmpi.so.103")

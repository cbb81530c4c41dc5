"""Includes follow one direction: exactly the edges of docs/design.md, section 2."""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from source_tree import ROOT, SourceTree, includes, quoted_includes, write

MODULES = ["base", "config", "comm", "mesh", "model", "io", "data", "nn", "pipeline", "objective", "optim", "store", "job", "plan",
           "engine", "train"]  # fmt: skip
PURE = ":pure"  # only headers without MPI, libtorch and HDF5
CONFIG = ":config"  # only <module>/config.hpp

# What a module may include besides itself and base.
EDGES: dict[str, set[str]] = {
    "base": set(),
    "config": set(),
    "comm": {"config"},
    "mesh": {"config", "comm"},
    "model": {"config", "mesh" + PURE},
    "io": set(),
    "data": {"config", "io", "mesh" + PURE},
    "nn": {"comm", "mesh", "model", "data"},
    "pipeline": {"config", "comm", "mesh", "nn"},
    "objective": {"config"},
    "optim": {"config", "comm", "mesh", "model"},
    "store": {"config", "comm", "mesh", "model", "io", "data", "optim"},
    "job": {"config", "io" + PURE} | {module + CONFIG for module in MODULES},
    "plan": {"config", "job"} | {module + PURE for module in ("mesh", "comm", "model", "data", "nn", "pipeline", "optim", "store")},
    "engine": set(MODULES) - {"engine", "train"},
    "train": set(MODULES) - {"train"},
    "app": set(MODULES),
}


def is_allowed(tree: SourceTree, module: str, name: str) -> bool:
    """Whether a file of `module` may include `name`, which is collimate/<target>/<rest>."""
    _, target, rest = name.split("/", 2)
    edges = EDGES[module]
    if target in {module, "base"} or target in edges:
        return True
    if rest == "config.hpp" and target + CONFIG in edges:
        return True
    return target + PURE in edges and not tree.impure_path(tree.header(name))


def forbidden_includes(tree: SourceTree) -> list[str]:
    found = []
    for file in tree.cpp_files:
        module = tree.module(file)
        if module not in EDGES:
            found.append(f"{tree.name(file)}: {module} is no module of the design")
            continue
        for name in quoted_includes(file):
            private = not name.startswith("collimate/")
            if private and not (file.parent / name).resolve().is_relative_to(tree.root / "src" / module):
                found.append(f"{tree.name(file)}: {name}: a private header of another folder")
            elif not private and not is_allowed(tree, module, name):
                found.append(f"{tree.name(file)}: {name}: {module} may not include it")
    return found


def config_header_faults(tree: SourceTree) -> list[str]:
    """<module>/config.hpp knows config/ and the standard library alone; the one of job adds all the others up."""
    found = []
    for file in sorted((tree.root / "include/collimate").glob("*/config.hpp")):
        sums_up = tree.module(file) == "job"
        for name in includes(file):
            is_own = name.startswith("collimate/config/") or (sums_up and name.endswith("/config.hpp"))
            if "/" in name and not is_own:
                found.append(f"{tree.name(file)}: {name}")
    return found


def cycle(tree: SourceTree) -> list[str]:
    graph = {str(f): {str(tree.header(n)) for n in quoted_includes(f) if n.startswith("collimate/")} for f in tree.cpp_files}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_every_include_is_an_allowed_edge():
    tree = SourceTree(ROOT)
    assert tree.cpp_files
    assert forbidden_includes(tree) == []


def test_config_headers_include_config_alone():
    assert config_header_faults(SourceTree(ROOT)) == []


def test_no_header_includes_itself_through_others():
    assert cycle(SourceTree(ROOT)) == []


def test_yaml_is_read_in_config_alone():
    tree = SourceTree(ROOT)
    users = {tree.module(f) for f in tree.cpp_files if any(n.startswith("yaml-cpp") for n in includes(f))}
    assert users <= {"config"}


def test_the_edges_themselves_have_no_cycle():
    TopologicalSorter({m: {e.split(":")[0] for e in edges if not e.endswith(CONFIG)} for m, edges in EDGES.items()}).prepare()


def test_a_forbidden_edge_is_found(tmp_path: Path):
    tree = write(tmp_path, {
        "src/comm/a.cpp": '#include "collimate/mesh/shape.hpp"\n',
        "src/model/b.cpp": '#include "collimate/mesh/process.hpp"\n#include "collimate/mesh/shape.hpp"\n',
        "src/job/c.cpp": '#include "collimate/nn/config.hpp"\n#include "collimate/nn/stage.hpp"\n',
        "src/io/d.cpp": '#include "../comm/private.hpp"\n',
        "include/collimate/mesh/shape.hpp": "#include <vector>\n",
        "include/collimate/mesh/process.hpp": '#include "collimate/comm/communicator.hpp"\n',
        "include/collimate/comm/communicator.hpp": "#include <ATen/core/Tensor.h>\n",
    })  # fmt: skip
    assert [fault.split(":")[0] for fault in forbidden_includes(tree)] == [
        "src/comm/a.cpp", "src/io/d.cpp", "src/job/c.cpp", "src/model/b.cpp"]  # fmt: skip


def test_a_cycle_is_found(tmp_path: Path):
    tree = write(tmp_path, {
        "include/collimate/io/a.hpp": '#include "collimate/io/b.hpp"\n',
        "include/collimate/io/b.hpp": '#include "collimate/io/a.hpp"\n',
    })  # fmt: skip
    assert cycle(tree)

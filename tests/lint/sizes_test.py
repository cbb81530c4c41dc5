"""Small things: no function over 60 lines, no file over 400, in C++, Python and shell alike."""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest
from source_tree import ROOT, SourceTree

FUNCTION_LINES = 60
FILE_LINES = 400
SHELL_FUNCTION = re.compile(r"^\w+\(\) [{(]$.*?^[})]$", re.MULTILINE | re.DOTALL)


def language(file: Path) -> str | None:
    """cpp, python or shell; None for what has no functions of ours."""
    if file.suffix in {".cpp", ".hpp"}:
        return "cpp"
    first = file.read_text().partition("\n")[0] if file.suffix in {"", ".sh", ".py"} else ""
    if file.suffix == ".py" or first.endswith("python3"):
        return "python"
    return "shell" if file.suffix == ".sh" or first.endswith("bash") else None


def long_cpp_functions(files: list[Path]) -> list[str]:
    if not files:
        return []
    command = ["ctags", "--output-format=json", "--fields=+ne", "--languages=C++", "--kinds-C++=f", "-f", "-", *files]
    tags = subprocess.run(command, check=True, text=True, capture_output=True).stdout.splitlines()
    assert tags, "ctags found no function"
    found = []
    for tag in map(json.loads, tags):
        lines = tag.get("end", tag["line"]) - tag["line"] + 1
        if lines > FUNCTION_LINES:
            found.append(f"{tag['path']}:{tag['line']}: {tag['name']} has {lines} lines")
    return found


def long_python_functions(file: Path) -> list[str]:
    nodes = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [f"{file}:{n.lineno}: {n.name}" for n in nodes if n.end_lineno - n.lineno + 1 > FUNCTION_LINES]


def long_shell_functions(file: Path) -> list[str]:
    functions = SHELL_FUNCTION.findall(file.read_text())
    return [f"{file}: {text.partition('(')[0]}" for text in functions if text.count("\n") + 1 > FUNCTION_LINES]


def long_functions(files: list[Path]) -> list[str]:
    by_language: dict[str | None, list[Path]] = {}
    for file in files:
        by_language.setdefault(language(file), []).append(file)
    found = long_cpp_functions(by_language.get("cpp", []))
    for file in by_language.get("python", []):
        found += long_python_functions(file)
    for file in by_language.get("shell", []):
        found += long_shell_functions(file)
    return found


def test_no_function_is_over_60_lines():
    assert long_functions(SourceTree(ROOT).all_files) == []


def test_no_file_is_over_400_lines():
    sources = [f for f in SourceTree(ROOT).all_files if language(f) or f.suffix == ".cmake" or f.name == "CMakeLists.txt"]
    assert sources
    assert [str(f) for f in sources if f.read_text().count("\n") > FILE_LINES] == []


@pytest.mark.parametrize(
    ("name", "head", "line", "tail"),
    [
        ("a.cpp", "int f() {\n", "  g();\n", "}\n"),
        ("a.cpp", "TEST(A, b) {\n", "  g();\n", "}\n"),
        ("a.py", "def f():\n", "    g()\n", ""),
        ("a.sh", "f() {\n", "  g\n", "}\n"),
    ],
)
def test_a_long_function_is_found(tmp_path: Path, name: str, head: str, line: str, tail: str):
    file = tmp_path / name
    file.write_text(head + line * (FUNCTION_LINES - 1 - len(tail) // 2) + tail)
    assert long_functions([file]) == []
    file.write_text(head + line * FUNCTION_LINES + tail)
    assert len(long_functions([file])) == 1

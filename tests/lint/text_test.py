"""What the project's text must not say, and what its README must."""

import re
from pathlib import Path

import pytest
from source_tree import ROOT, SourceTree

THIS = Path(__file__).resolve()
# Folders of one person's machine. Unit tests may make homes up.
MACHINE_PATH = re.compile(r"(?<![\w.$}~)/-])/(work|root|opt|Users|scratch)/\w")
HOME_PATH = re.compile(r"(?<![\w.$}~)/-])/home/\w")
# A test that cannot run fails; what is not there is not announced.
SKIPPED = re.compile(r"GTEST_SKIP|pytest\.(?:mark\.)?(?:skip|xfail)|importorskip|\bDISABLED_|\bTODO\b|\bFIXME\b|\bXXX\b")
# base/log.hpp escapes what a message may quote; nothing else writes to a terminal, but for the progress line's own control.
TERMINAL = re.compile(r"\bfmt::print\b|\bstd::(?:cout|cerr|clog)\b|\b(?:perror|puts|putchar|fputs|fputc|fwrite|f?printf)\(")
TERMINAL_FILES = {"src/base/log.cpp", "src/engine/progress.cpp"}
README_PATH = re.compile(r"(?<![\w/.-])((?:launch|tools|configs|docs|bench|tests|cluster|\.ci)/[\w./-]*\w)")


def lines_with(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if pattern.search(line)
    ]


@pytest.fixture
def texts() -> list[Path]:
    return [file for file in SourceTree(ROOT).all_files if file != THIS]


@pytest.fixture
def readme() -> str:
    return (ROOT / "README.md").read_text()


def test_no_path_of_a_machine_stands_anywhere(texts: list[Path]):
    assert lines_with(MACHINE_PATH, texts) == []
    assert lines_with(HOME_PATH, [file for file in texts if not file.is_relative_to(ROOT / "tests/unit")]) == []


def test_nothing_is_skipped_or_left_for_later(texts: list[Path]):
    assert lines_with(SKIPPED, texts) == []


def test_all_text_for_the_terminal_goes_through_the_log():
    sources = [file for file in SourceTree(ROOT).cpp_files if str(file.relative_to(ROOT)) not in TERMINAL_FILES]
    assert lines_with(TERMINAL, sources) == []


def test_readme_is_under_150_lines(readme: str):
    assert readme.count("\n") < 150


def test_readme_names_the_two_commands(readme: str):
    commands = {line.strip().removeprefix("$ ").split()[0] for block in re.findall(r"```\w*\n(.*?)```", readme, re.DOTALL)
                for line in block.splitlines() if line.strip()}  # fmt: skip
    assert {"launch/demo", "launch/test"} <= {command.removeprefix("./") for command in commands}


def test_every_path_that_the_readme_names_exists(readme: str):
    paths = README_PATH.findall(readme)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_continuous_integration_runs_the_readme_command():
    lines = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[-1] == "exec launch/test"


def test_what_is_forbidden_is_found():
    assert HOME_PATH.search("see /home/ann/data") and not HOME_PATH.search("docs/home/ann")
    assert MACHINE_PATH.search("PATH=/opt/mpi/bin") and not MACHINE_PATH.search("out/work/a")
    assert TERMINAL.search('  std::cerr << "a";') and TERMINAL.search("std::fputs(text") and not TERMINAL.search("snprintf(")
    assert SKIPPED.search("  GTEST_SKIP();") and SKIPPED.search("@pytest.mark.skip") and not SKIPPED.search("skipped")

"""The human ratings: 10,605 movie-review snippets in the source package of vaderSentiment (Hutto & Gilbert, 2014; MIT).

They lie in an archive inside the source archive, as two tables with the same ids: texts, and what 15 or more people
each thought of them, from -4 (very negative) to 4.
"""

import ast
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from preferences.errors import InputError

from .command_line import command_line
from .files import write_bytes

PACKAGE = "vaderSentiment==3.3.2"
SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER_ARCHIVE = "additional_resources/hutto_ICWSM_2014.tar.gz"
TEXTS = "movieReviewSnippets_GroundTruth.txt"
RATINGS = "movieReviewSnippets_anonDataRatings.txt"


@dataclass(frozen=True)
class Snippet:
    text: str
    ratings: tuple[int, ...]


def download(archive: Path) -> None:
    """Fetches the source package as pip would, and takes it only if it is the known one. Throws InputError."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:", "--dest", folder]
        command = [sys.executable, "-m", "pip", "download", *options, PACKAGE]
        if subprocess.run(command, check=False).returncode != 0:
            raise InputError(f"{PACKAGE}: pip could not fetch its source package: an index that has it")
        content = next(Path(folder).glob("*.tar.gz")).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise InputError(f"{PACKAGE}: SHA-256 {digest} of its source package: {SHA256}")
    write_bytes(archive, content)


def read_snippets(archive: Path) -> list[Snippet]:
    """The snippets in file order, each text once. Throws InputError when the archive is not the expected one."""
    try:
        tables = _read_tables(archive)
        ratings = {row[0]: tuple(ast.literal_eval(row[3])) for row in _rows(tables[RATINGS])}
        snippets = {}
        for number, _, text in _rows(tables[TEXTS]):
            clean = clean_text(text)
            snippets.setdefault(clean, Snippet(clean, ratings[number]))
    except (OSError, tarfile.TarError, KeyError, ValueError) as error:
        what = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(":")
        raise InputError(f"{archive}: {what}: the source archive of {PACKAGE}") from None
    return list(snippets.values())


def clean_text(text: str) -> str:
    """Single spaces, and one character for a double quotation mark, which the table has as two apostrophes."""
    return " ".join(text.replace("''", '"').split())


def _read_tables(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as outer:
        inner = next((member for member in outer if member.name.endswith(INNER_ARCHIVE)), None)
        if inner is None:
            raise KeyError(INNER_ARCHIVE)
        with tarfile.open(fileobj=io.BytesIO(outer.extractfile(inner).read())) as tables:
            files = {Path(member.name).name: member for member in tables}
            return {name: tables.extractfile(files[name]).read().decode() for name in (TEXTS, RATINGS)}


def _rows(table: str) -> Iterator[list[str]]:
    return (line.split("\t") for line in table.splitlines())


def main(arguments: list[str]) -> None:
    parser = command_line("source", __doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.tar.gz")
    download(parser.parse_args(arguments).output)

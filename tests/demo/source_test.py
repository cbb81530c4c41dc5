"""The ratings' archive: two tables inside an archive inside an archive."""

import io
import tarfile
from pathlib import Path

import pytest
from demo import source
from demo.source import Snippet, clean_text, read_snippets
from preferences.errors import InputError


def tar_gz(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def write_archive(path: Path, texts: str, ratings: str) -> Path:
    tables = {source.TEXTS: texts.encode(), source.RATINGS: ratings.encode(), "other.txt": b"x"}
    tables = {f"inner/{name}": content for name, content in tables.items()}
    path.write_bytes(tar_gz({"package/setup.py": b"", f"package/{source.INNER_ARCHIVE}": tar_gz(tables)}))
    return path


def test_texts_get_the_ratings_of_their_number(tmp_path: Path):
    texts = "1\t2.0\tGood  fun.\r\n2\t-1.5\tSo ''bad''.\r\n"
    ratings = "2\t-1.5\t0.5\t[-1, -2]\n1\t2.0\t0.0\t[2, 2]\n"
    assert read_snippets(write_archive(tmp_path / "a.tar.gz", texts, ratings)) == [
        Snippet("Good fun.", (2, 2)), Snippet('So "bad".', (-1, -2))]  # fmt: skip


def test_a_text_that_stands_twice_is_taken_once(tmp_path: Path):
    texts = "1\t2.0\tFun.\r\n2\t1.0\tFun. \r\n"
    ratings = "1\t2.0\t0.0\t[2, 2]\n2\t1.0\t0.0\t[1, 1]\n"
    assert read_snippets(write_archive(tmp_path / "a.tar.gz", texts, ratings)) == [Snippet("Fun.", (2, 2))]


@pytest.mark.parametrize("content", [b"no archive", tar_gz({"package/setup.py": b""})])
def test_another_archive_is_refused_by_name(tmp_path: Path, content: bytes):
    file = tmp_path / "other.tar.gz"
    file.write_bytes(content)
    with pytest.raises(InputError, match="other.tar.gz.*source archive of vaderSentiment==3.3.2"):
        read_snippets(file)


def test_a_text_without_ratings_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="KeyError"):
        read_snippets(write_archive(tmp_path / "a.tar.gz", "7\t2.0\tFun.\r\n", "1\t2.0\t0.0\t[2, 2]\n"))


def test_a_package_of_other_content_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fetch(command: list[str], **_: object) -> object:
        (Path(command[command.index("--dest") + 1]) / "vaderSentiment-3.3.2.tar.gz").write_bytes(b"something else")
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(source.subprocess, "run", fetch)
    with pytest.raises(InputError, match="SHA-256"):
        source.download(tmp_path / "source.tar.gz")
    assert list(tmp_path.iterdir()) == []


def test_white_space_and_quotation_marks_are_made_plain():
    assert clean_text(" it's   a ''must\tsee'' ") == 'it\'s a "must see"'

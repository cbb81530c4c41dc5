"""The output appears whole or not at all, and a wrong call says why."""

import json
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import h5py
import pytest
from jobs import PATIENCE
from preferences.errors import InputError
from preferences.file_lock import FileLock
from program import command, run, text_rows, write_lines


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "a.jsonl", text_rows(20))


def files_of(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def assert_refused(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert message in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == ""


# --- what is wrong is named, and nothing is written


def test_a_bad_row_ends_a_strict_run(lines: Path, bare: Path, tmp_path: Path):
    rows = text_rows(600)
    rows[500]["label"] = 1.5
    done = run(bare, write_lines(lines, rows), tmp_path / "a.h5", "--strict")
    assert_refused(done, f"{lines}:501: label: 1.5: a number from 0 to 1 (--strict)\n")
    rows[500] = text_rows(1)[0] | {"score": 1}
    done = run(bare, write_lines(lines, rows), tmp_path / "a.h5", "--strict")
    assert_refused(done, f"{lines}:501: nothing reads column score: rows without it (--strict)\n")
    assert files_of(tmp_path) == {"a.jsonl"}


def test_many_lost_rows_are_a_warning_and_more_an_error(lines: Path, bare: Path, tmp_path: Path):
    rows = text_rows(100)
    for i in range(5):
        rows[20 * i] |= {"label": "yes"}
    done = run(bare, write_lines(lines, rows), tmp_path / "a.h5")
    example = f"{lines}:1: label: 'yes': a number from 0 to 1"
    assert done.returncode == 0
    assert done.stderr == (f"warning: 5 of 100 rows are lost (5.0%): malformed 5; malformed first at {example}\n")
    done = run(bare, lines, tmp_path / "b.h5", "--max-dropped", "4%")
    assert_refused(done, f"{lines}: 5 of 100 rows are lost (5.0%), more than --max-dropped 0.04 allows:\n")
    assert example in done.stderr and not (tmp_path / "b.h5").exists()


def test_text_of_files_reaches_the_terminal_escaped(lines: Path, bare: Path, tmp_path: Path):
    rows = [row | {"id\x1b[31m\u202e": 1} for row in text_rows(20)] + [{"chosen": "a", "rejec\x1b]0;ted\x07": "b"}]
    done = run(bare, write_lines(lines, rows), tmp_path / "a.h5")
    assert done.returncode == 0 and r"nothing reads column id\x1b[31m\u202e: first" in done.stdout, done
    assert r"(there are: chosen, rejec\x1b]0;ted\x07)" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def test_a_file_without_any_row_of_use_is_given_up_early(bare: Path, tmp_path: Path):
    lines = write_lines(tmp_path / "a.jsonl", [{"text": "a"}] * 5000)
    done = run(bare, lines, tmp_path / "a.h5")
    assert_refused(done, f"{lines}: none of the first 1,024 rows can be used:\n")
    assert "chosen: missing: a column of this name (there are: text)" in done.stderr


def test_a_run_without_any_pair_left_is_refused(bare: Path, tmp_path: Path):
    lines = write_lines(tmp_path / "a.jsonl", [{"prompt": "a", "chosen": "b", "rejected": "b"}] * 2)
    done = run(bare, lines, tmp_path / "a.h5")
    assert_refused(done, f"{lines}: no pair is left to write:\n")
    assert done.stderr.splitlines()[3].split()[:3] == ["dropped:", "identical_responses", "2"]
    assert files_of(tmp_path) == {"a.jsonl"}


def test_an_empty_input_is_refused(bare: Path, tmp_path: Path):
    assert_refused(run(bare, write_lines(tmp_path / "a.jsonl", []), tmp_path / "a.h5"), "no pair is left to write")


def test_a_missing_model_folder_is_refused(lines: Path, tmp_path: Path):
    assert_refused(run(tmp_path / "none", lines, tmp_path / "a.h5"), f"{tmp_path / 'none'}: no such folder")


def test_a_model_folder_without_a_tokenizer_is_refused(lines: Path, tmp_path: Path):
    (tmp_path / "m").mkdir()
    assert_refused(run(tmp_path / "m", lines, tmp_path / "a.h5"), f"{tmp_path / 'm/tokenizer.json'}: missing")
    (tmp_path / "m/tokenizer.json").write_text("{}")
    assert_refused(run(tmp_path / "m", lines, tmp_path / "a.h5"), f"{tmp_path / 'm/tokenizer.json'}: not a tokenizer")


def test_an_output_that_cannot_be_written_is_refused(lines: Path, bare: Path, tmp_path: Path):
    (tmp_path / "folder").mkdir()
    for output in (lines / "a.h5", lines / "none/a.h5", Path("/proc/a.h5"), Path("/dev/null/a.h5")):
        assert_refused(run(bare, lines, output), f"{output}: cannot be written: ")
    for output in (tmp_path / "folder", Path("/dev/null")):
        assert_refused(run(bare, lines, output), f"{output}: not a regular file")
    assert_refused(run(bare, lines, lines), f"{lines}: is an input too")
    assert files_of(tmp_path) == {"a.jsonl", "folder"} and Path("/dev/null").is_char_device()


def test_a_full_disk_leaves_nothing(bare: Path, tmp_path: Path):
    lines = write_lines(tmp_path / "a.jsonl", text_rows(5000))
    most = 100_000  # bytes of any file

    def limit_file_size() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    done = run(bare, lines, tmp_path / "a.h5", preexec_fn=limit_file_size)
    assert_refused(done, f"{tmp_path / 'a.h5'}: cannot be written: File too large")
    assert files_of(tmp_path) == {"a.jsonl"}


def test_a_second_run_with_the_same_output_is_refused(lines: Path, bare: Path, tmp_path: Path):
    with FileLock(tmp_path / "a.h5", tmp_path / "a.h5"):
        done = run(bare, lines, tmp_path / "a.h5")
        assert_refused(done, f"{tmp_path / 'a.h5'}: is being written by process {os.getpid()} on ")
        assert files_of(tmp_path) == {"a.jsonl", "a.h5.lock"}
    assert run(bare, lines, tmp_path / "a.h5").returncode == 0
    assert files_of(tmp_path) == {"a.jsonl", "a.h5"}


def test_folders_above_the_output_are_made_and_go_again_where_nothing_is_written(
    lines: Path, bare: Path, tmp_path: Path
):
    wrong = write_lines(tmp_path / "wrong.jsonl", [{"prompt": "a"}])
    for inputs, model in ((wrong, bare), (lines, tmp_path / "none")):
        assert run(model, inputs, tmp_path / "data/one/a.h5").returncode == 2
        assert files_of(tmp_path) == {"a.jsonl", "wrong.jsonl"}
    assert run(bare, lines, tmp_path / "data/one/a.h5").returncode == 0
    assert files_of(tmp_path / "data/one") == {"a.h5"}


@pytest.mark.parametrize(
    "options",
    [
        ["--max-length", "1"],
        ["--workers", "0"],
        ["--overlong", "cut"],
        ["--labels", "x"],
        ["--max-dropped", "2"],
        ["--template-date", "today"],
        ["--chat-template-kwargs", "{"],
        ["--chat-template-kwargs", '{"tools": 1}'],
    ],
)
def test_a_wrong_option_is_refused(lines: Path, bare: Path, tmp_path: Path, options: list[str]):
    assert_refused(run(bare, lines, tmp_path / "a.h5", *options), options[0])


# --- what was there before


def test_an_earlier_output_and_a_stale_partial_file_are_replaced(lines: Path, bare: Path, tmp_path: Path):
    assert run(bare, lines, tmp_path / "fresh.h5").returncode == 0
    (tmp_path / "a.h5").write_text("old")
    (tmp_path / ".a.h5.partial").write_bytes(b"stale" * 1_000_000)
    done = run(bare, lines, tmp_path / "a.h5")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "fresh.h5").read_bytes()
    assert files_of(tmp_path) == {"a.jsonl", "a.h5", "fresh.h5"}


# --- stopped half-way


@pytest.fixture
def long_run(bare: Path, tmp_path: Path):
    """A run of seconds, in a process group of its own as under a terminal, that has begun its output."""
    lines = write_lines(tmp_path / "a.jsonl", text_rows(1000, num_words=60) * 20)
    (tmp_path / "a.h5").write_text("old")
    arguments = command(bare, lines, tmp_path / "a.h5", "--workers", "2", "--max-length", "1000")
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        wait_for(lambda: size_of(tmp_path / ".a.h5.partial") > 300_000)
        yield process
        process.kill()


def size_of(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def wait_for(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(process_id: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]


def catches(process_id: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal."""
    status = Path(f"/proc/{process_id}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def is_running(process_id: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process_id}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("number", "send", "exit_code"),
    [(signal.SIGINT, os.killpg, 130), (signal.SIGTERM, os.killpg, 143), (signal.SIGTERM, os.kill, 143)],
)
def test_a_stopped_run_leaves_all_as_it_was(
    long_run: subprocess.Popen[str], tmp_path: Path, number, send, exit_code: int
):
    workers = children(long_run.pid)
    send(long_run.pid, number)
    stdout, stderr = long_run.communicate(timeout=PATIENCE)
    assert (long_run.returncode, stdout) == (exit_code, "")
    assert stderr == f"tokenize_preferences.py: stopped by {number.name}, nothing written\n"
    assert (tmp_path / "a.h5").read_text() == "old" and files_of(tmp_path) == {"a.jsonl", "a.h5"}
    wait_for(lambda: not any(map(is_running, workers)))


def test_a_killed_run_leaves_no_file_that_looks_whole_and_no_process(
    long_run: subprocess.Popen[str], bare: Path, tmp_path: Path
):
    workers = children(long_run.pid)
    assert len(workers) >= 2
    long_run.kill()
    long_run.communicate(timeout=PATIENCE)
    assert (tmp_path / "a.h5").read_text() == "old"
    assert files_of(tmp_path) == {"a.jsonl", "a.h5", ".a.h5.partial", "a.h5.lock"}
    wait_for(lambda: not any(map(is_running, workers)))
    done = run(bare, tmp_path / "a.jsonl", tmp_path / "a.h5", "--max-length", "1000")
    assert done.returncode == 0 and f"a.h5.lock: taken over from process {long_run.pid} on " in done.stderr
    assert files_of(tmp_path) == {"a.jsonl", "a.h5"}


def test_ctrl_c_during_the_start_is_clean(lines: Path, bare: Path, tmp_path: Path):
    for delay in (0, 0.2, 0.5):
        arguments = command(bare, lines, tmp_path / "a.h5", "--workers", "2")
        with subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            # Before that the interpreter itself is not up yet.
            wait_for(lambda: catches(process.pid, signal.SIGTERM))
            time.sleep(delay)
            os.killpg(process.pid, signal.SIGINT)
            _, stderr = process.communicate(timeout=PATIENCE)
        assert process.returncode in (0, 130) and "Traceback" not in stderr
        assert ("a.h5" in files_of(tmp_path)) == (process.returncode == 0)
        (tmp_path / "a.h5").unlink(missing_ok=True)


HOLDER = {"host": "a", "process": 1, "since": "b", "boot_id": "c", "started": 2, "pid_namespace": "d", "flock": False}
WRONG = [{"host": 1}, {"process": "1"}, {"process": True}, {"process": 1.5}, {"process": 0}, {"process": -1}, {"process": 1 << 40},
         {"since": None}, {"boot_id": []}, {"started": "2"}, {"pid_namespace": {}}, {"flock": "no"}]  # fmt: skip


@pytest.mark.parametrize(
    "text", [*(json.dumps(HOLDER | wrong) for wrong in WRONG), "[]", "", "[" * 100_000], ids=lambda text: text[:60]
)
def test_a_lock_file_that_names_no_process_is_refused(tmp_path: Path, text: str):
    (tmp_path / "a.h5.lock").write_text(text)
    with pytest.raises(InputError, match="a.h5.lock is there and does not say which process writes"):
        FileLock(tmp_path / "a.h5", tmp_path / "a.h5")


def test_text_that_the_terminals_encoding_lacks_is_written_out(lines: Path, bare: Path, tmp_path: Path):
    rows = [row | {"größe 天": 1} for row in text_rows(20)]
    done = run(bare, write_lines(lines, rows), tmp_path / "a.h5", env=os.environ | {"PYTHONIOENCODING": "latin-1:strict"},
               encoding="latin-1")  # fmt: skip
    assert done.returncode == 0 and r"nothing reads column größe \u5929: first" in done.stdout, done


def test_a_file_of_tools_is_utf8_in_any_locale(lines: Path, bare: Path, tmp_path: Path):
    (tmp_path / "tools.json").write_text('[{"name": "größe"}]', encoding="utf-8")
    how = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run(bare, lines, tmp_path / "a.h5", "--tools", str(tmp_path / "tools.json"), env=os.environ | how)
    assert done.returncode == 0, done.stderr
    with h5py.File(tmp_path / "a.h5") as file:
        assert json.loads(file.attrs["template_arguments"])["tools"] == [{"name": "größe"}]

"""One writer at a time, over all processes and hosts that see a file system, whether or not it has locks of its own.

The lock file and the way to it are those of `collimate` (src/io/file_lock.cpp; its content is in docs/formats.md).
"""

import ctypes
import errno
import fcntl
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any, Self

from .errors import InputError, say

_LOCKING_VARIABLE = "HDF5_USE_FILE_LOCKING"
_NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}
_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}
_HOLDER_TYPES = {"host": str, "process": int, "since": str, "boot_id": str, "started": int, "pid_namespace": str,
                 "flock": bool}  # fmt: skip
_LARGEST_PROCESS = (1 << 31) - 1


class FileLock:
    """Holds `TARGET.lock`, which names its holder. Where the kernel has locks, the file is locked too, and one that a
    killed process left is taken over from any host. Where it has none, the file alone is the lock: it is taken over
    when its holder ran on this host and has ended. Both are told on stderr."""

    def __init__(self, target: Path, shown: Path):
        """`shown` is the target's name in messages. Throws InputError that says who holds the lock; OSError."""
        self._shown = shown
        self._path = target.with_name(f"{target.name}.lock")
        self._missing = ""  # why the kernel gave no lock
        self._file = self._take(self._path)
        if self._missing:
            _note(f"{self._path}: {self._missing}: this file alone keeps other writers out")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if _is_named(self._file, self._path):
            self._path.unlink()
        os.close(self._file)

    def _take(self, path: Path) -> int:
        """The descriptor of the lock file `path`, held."""
        while True:
            staging, file, has_flock = self._stage(path)
            try:
                if _put_in_place(staging, file, path):
                    return file
            except BaseException:
                os.close(file)
                raise
            finally:
                staging.unlink(missing_ok=True)
            os.close(file)
            text = _find_text(path)
            if text is None:
                continue  # given back meanwhile
            ended = self._require_ended(path, text, has_flock)
            successor = self._replace(path, text)
            if successor is not None:
                _note(f"{path}: taken over from {_name(ended)}, which has ended")
                return successor

    def _stage(self, path: Path) -> tuple[Path, int, bool]:
        """A lock file under a staging name: complete, durable and locked before others see it by its own name."""
        number = 0
        while True:
            staging = path.with_name(f".{path.name}.staged-{os.getpid()}-{number}")
            try:
                file = os.open(staging, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
                break
            except FileExistsError:
                number += 1
        try:
            has_flock = self._ask_kernel(path, file, fcntl.LOCK_EX)
            os.write(file, (json.dumps(_own_holder(bool(has_flock))) + "\n").encode())
            os.fsync(file)  # so that other hosts see it whole
        except BaseException:
            os.close(file)
            staging.unlink()
            raise
        return staging, file, bool(has_flock)

    def _ask_kernel(self, path: Path, file: int, operation: int) -> bool | None:
        """Whether the kernel gave the lock; None: it has none. Throws InputError for all other errors."""
        if os.environ.get(_LOCKING_VARIABLE) in {"FALSE", "0"}:
            self._missing = f"{_LOCKING_VARIABLE} turns locks off"
            return None
        try:
            fcntl.flock(file, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if operation == fcntl.LOCK_EX:
                raise InputError(f"{path}: is locked by another process") from None
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise InputError(f"{path}: cannot be locked: {error.strerror}") from None
            self._missing = f"the file system has no locks ({os.strerror(error.errno)})"
            return None
        return True

    def _require_ended(self, path: Path, text: str, has_flock: bool) -> dict[str, Any]:
        """The holder of a lock file, which is refused as long as it may be there."""
        holder = _parse_holder(text)
        if holder is None:
            raise InputError(
                f"{self._shown}: {path} is there and does not say which process writes; once none does, delete it"
            )
        if has_flock and holder["flock"]:
            has_ended = self._is_unlocked(path)
        else:
            has_ended = _has_ended(holder)
        message = f"{self._shown}: is being written by {_name(holder)}"
        if has_ended is None:
            here = socket.gethostname()
            raise InputError(f"{message}, which cannot be seen from {here}; once it has ended, delete {path}")
        if not has_ended:
            raise InputError(f"{message}; wait until it has ended, or end it")
        return holder

    def _is_unlocked(self, path: Path) -> bool:
        """By a shared lock: another process that only looks must not be taken for the holder."""
        try:
            with path.open("rb") as file:
                return self._ask_kernel(path, file.fileno(), fcntl.LOCK_SH) is True
        except FileNotFoundError:
            return True  # given back meanwhile

    def _replace(self, path: Path, text: str) -> int | None:
        """Puts an own file in the place of one whose holder has ended. Whoever holds the lock file of this change alone
        may make it. None: somebody else was quicker."""
        successor = path.with_name(f"{path.name}.takeover")
        file = self._take(successor)
        if _find_text(path) != text:
            successor.unlink(missing_ok=True)
            os.close(file)
            return None
        successor.replace(path)
        return file


def _note(text: str) -> None:
    say(f"note: {text}", sys.stderr)


def _is_named(file: int, path: Path) -> bool:
    """Whether an open file is the one of that name."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def _find_text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return None


def _put_in_place(staging: Path, file: int, path: Path) -> bool:
    """Gives the staged file its name, unless another file has it. Of several that try, on any hosts, one succeeds."""
    try:
        os.link(staging, path)
    except OSError as error:
        if os.fstat(file).st_nlink > 1:
            return True  # over NFS the answer to a link that was made may be lost
        if error.errno in _NO_HARD_LINKS:
            return _rename_to_free_name(staging, path)
        if error.errno == errno.EEXIST:
            return False
        raise
    return True


def _rename_to_free_name(staging: Path, path: Path) -> bool:
    at_current_folder, no_replace = -100, 1
    rename = ctypes.CDLL(None, use_errno=True).renameat2
    if rename(at_current_folder, os.fsencode(staging), at_current_folder, os.fsencode(path), no_replace) == 0:
        return True
    code = ctypes.get_errno()
    if code == errno.EEXIST:
        return False
    raise OSError(code, os.strerror(code), str(path))


def _own_holder(has_flock: bool) -> dict[str, Any]:
    record = _find_process_record(os.getpid())
    return {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        "boot_id": _boot_id(),
        "started": record[1] if record else 0,
        "pid_namespace": _pid_namespace(),
        "flock": has_flock,
    }


def _parse_holder(text: str) -> dict[str, Any] | None:
    try:
        holder = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(holder, dict) or any(type(holder.get(key)) is not kind for key, kind in _HOLDER_TYPES.items()):
        return None
    return holder if 0 < holder["process"] <= _LARGEST_PROCESS else None


def _name(holder: dict[str, Any]) -> str:
    return f"process {holder['process']} on {holder['host']} since {holder['since']}"


def _has_ended(holder: dict[str, Any]) -> bool | None:
    """Looks for the holder among the processes of this host; None: it is of another host or container."""
    own = (_boot_id(), _pid_namespace())
    if not own[0] or own != (holder["boot_id"], holder["pid_namespace"]):
        return None
    try:
        os.kill(holder["process"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    record = _find_process_record(holder["process"])
    if record is None:
        return False  # hidden from this user
    state, started = record
    return state == "Z" or started != holder["started"]


def _find_process_record(process: int) -> tuple[str, int] | None:
    """State and start, in clock ticks since the boot: proc(5), /proc/PID/stat, fields 3 and 22."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""

"""An output file that appears whole or not at all: written beside its target, then renamed onto it."""

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from .errors import InputError
from .file_lock import FileLock


class StagedFile(io.FileIO):
    """Writes to `.NAME.partial` until `commit`; what an earlier, killed run left there is overwritten. `NAME.lock`
    keeps other runs out meanwhile.

    A failed write (a full disk) is kept in mind instead of raised, since HDF5 whose writes fail cannot close and then
    crashes at exit. `raise_failure` tells.
    """

    def __init__(self, target: Path):
        """Makes the folders above. Throws InputError when the target cannot be written, or another run writes it."""
        self._shown = target
        self._target = target.resolve()
        self.path = self._target.with_name(f".{self._target.name}.partial")
        self._failure: OSError | None = None
        self._is_committed = False
        if self._target.exists() and not self._target.is_file():
            raise InputError(f"{target}: not a regular file: the name of a file to write")
        with ExitStack() as held:
            try:
                held.enter_context(folders_above(self._target))
                held.enter_context(FileLock(self._target, target))
                super().__init__(self.path, "r+", opener=lambda path, flags: os.open(path, flags | os.O_CREAT, 0o666))
                self.truncate(0)
            except OSError as error:
                raise self._cannot_write(error) from None
            self._held = held.pop_all()

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        num_bytes = len(rest)
        try:
            while rest and self._failure is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self._failure = error
        return num_bytes

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self._failure = self._failure or error
            return size or 0

    def raise_failure(self) -> None:
        """Throws InputError when a write has failed."""
        if self._failure is not None:
            raise self._cannot_write(self._failure)

    def commit(self) -> None:
        """Makes the content durable, then gives it its name. Throws InputError."""
        self.raise_failure()
        try:
            os.fsync(self.fileno())
            os.replace(self.path, self._target)
            self._is_committed = True
            _sync_folder(self._target.parent)
        except OSError as error:
            raise self._cannot_write(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_committed:
            self.path.unlink(missing_ok=True)
        self.close()
        self._held.close()

    def _cannot_write(self, error: OSError) -> InputError:
        return InputError(f"{self._shown}: cannot be written: {error.strerror or error}")


@contextmanager
def folders_above(target: Path) -> Iterator[None]:
    """Makes the folders above an output that are missing. Those that nothing was put into go again at the end. Throws
    OSError."""
    missing = [folder for folder in target.parents if not folder.exists()]
    with ExitStack() as made:
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            made.callback(_remove_if_empty, folder)
            _sync_folder(folder.parent)
        yield


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

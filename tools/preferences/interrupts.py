"""Ctrl-C and SIGTERM as a flag that the work looks at between its steps.

An exception thrown into HDF5's callbacks or into a thread's lock would be lost or leave half a file; a flag is not.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """The user or the system asked to stop; `exit_code` is 128 + the signal's number."""

    def __init__(self, signal_number: int):
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


class Interrupts:
    """Notes the first SIGINT or SIGTERM; a second one of the same kind kills, should the work be stuck."""

    def __init__(self) -> None:
        self._signal_number: int | None = None

    def install(self) -> None:
        for number in _SIGNALS:
            signal.signal(number, self._note)

    def check(self) -> None:
        """Raises Interrupted when a signal has come."""
        if self._signal_number is not None:
            raise Interrupted(self._signal_number)

    def _note(self, signal_number: int, _frame: FrameType | None) -> None:
        self._signal_number = signal_number
        signal.signal(signal_number, signal.SIG_DFL)


@contextmanager
def keyboard_interrupt_held() -> Iterator[None]:
    """Processes started inside never see Ctrl-C: they inherit the blocked signal. Here it comes when the block ends."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

"""Worker processes behind pipes; answers come back in the order of the questions, and few are under way at a time.

A worker sees the end of its pipe when this process is gone, however it went, and ends too.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Self

from .interrupts import keyboard_interrupt_held

_QUESTIONS_PER_WORKER = 3  # one being answered, one waiting, one answered before its turn


class WorkerDied(Exception):
    """A worker process is gone: killed, out of memory, or by an error that it has printed."""


class WorkerPool:
    """`build` is called once in each worker and gives the function that answers; it travels there by pickle.

    A thread per worker asks and waits for the answer, so that no pipe is ever full on both sides.
    """

    def __init__(self, num_workers: int, build: Callable[[], Callable[[Any], Any]]):
        self._num_workers = num_workers
        self._processes = []
        self._connections = []
        self._idle: SimpleQueue[Connection] = SimpleQueue()
        # Before the signal is held, since starting the tracker would let it through again.
        resource_tracker.ensure_running()
        with keyboard_interrupt_held():
            for _ in range(num_workers):
                self._start(build)
        self._threads = ThreadPoolExecutor(num_workers)

    def map_ordered(self, questions: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Each question with its answer, in order. Throws WorkerDied."""
        pending: deque[Any] = deque()
        for question in questions:
            pending.append((question, self._threads.submit(self._ask, question)))
            if len(pending) == _QUESTIONS_PER_WORKER * self._num_workers:
                asked, answer = pending.popleft()
                yield asked, answer.result()
        for asked, answer in pending:
            yield asked, answer.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            for process in self._processes:
                process.terminate()
        self._threads.shutdown(cancel_futures=True)
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.join()

    def _start(self, build: Callable[[], Callable[[Any], Any]]) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, build), daemon=True)
        process.start()
        # Only the worker may hold its end, or its death would go unnoticed.
        theirs.close()
        self._processes.append(process)
        self._connections.append(ours)
        self._idle.put(ours)

    def _ask(self, question: Any) -> Any:
        connection = self._idle.get()
        try:
            connection.send(question)
            return connection.recv()
        except (EOFError, OSError):
            raise WorkerDied(
                "a worker process ended early: killed, or out of memory, unless it says otherwise above"
            ) from None
        finally:
            self._idle.put(connection)


def _serve(connection: Connection, build: Callable[[], Callable[[Any], Any]]) -> None:
    # The processes are the parallelism; threads below them would only compete.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    answer = build()
    try:
        while True:
            connection.send(answer(connection.recv()))
    except (EOFError, ConnectionError):
        pass  # the first process has finished, or is gone

"""Order, bounds and deaths of worker processes."""

import os
import time
from collections.abc import Callable, Iterator

import pytest
from preferences.worker_pool import WorkerDied, WorkerPool

# More than a pipe holds, in both directions.
_BALLAST = bytes(1 << 18)


def _build() -> Callable[[tuple[int, bytes]], tuple[int, bytes]]:
    def answer(question: tuple[int, bytes]) -> tuple[int, bytes]:
        number, ballast = question
        if number < 0:
            os._exit(1)
        time.sleep(0.01 * (number % 3))
        return number * number, ballast

    return answer


def test_answers_come_in_order_and_questions_are_taken_as_needed():
    taken = 0

    def questions() -> Iterator[tuple[int, bytes]]:
        nonlocal taken
        for taken in range(1, 61):
            yield taken, _BALLAST

    with WorkerPool(2, _build) as pool:
        for number, (question, answer) in enumerate(pool.map_ordered(questions()), 1):
            assert (question[0], answer) == (number, (number * number, _BALLAST))
            assert taken <= number + 6
    assert number == 60


def test_the_death_of_a_worker_is_noticed():
    with pytest.raises(WorkerDied), WorkerPool(2, _build) as pool:
        list(pool.map_ordered((number, _BALLAST) for number in [1, 2, -1, 4, 5]))

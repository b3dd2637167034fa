"""Work that goes on from one stage's thread to the next: futures, chained and gathered."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def settled(value: T) -> Future[T]:
    """Give a future that is done.

    >>> settled(3).result()
    3
    """
    made: Future[T] = Future()
    made.set_result(value)
    return made


def followed(first: Future[S], then: Callable[[S], Future[T]]) -> Future[T]:
    """Give the future of a second stage, which starts in the thread that ends the first.

    It raises what either stage raises, and what `then` raises.

    >>> followed(settled(3), lambda three: settled(three + 1)).result()
    4
    """
    made: Future[T] = Future()

    def second_done(second: Future[T]) -> None:
        error = second.exception()
        if error is not None:
            made.set_exception(error)
        else:
            made.set_result(second.result())

    def first_done(done: Future[S]) -> None:
        try:
            then(done.result()).add_done_callback(second_done)
        # A future carries any error to who waits for it.
        except Exception as error:  # noqa: BLE001
            made.set_exception(error)

    first.add_done_callback(first_done)
    return made


def tolerated(first: Future[T], *, when: bool) -> Future[T | None]:
    """Give a future that, `when` so, is None where the first one fails: for work that nobody may wait for in vain.

    >>> failed: Future[int] = Future()
    >>> failed.set_exception(ZeroDivisionError())
    >>> tolerated(failed, when=True).result() is None
    True
    """
    made: Future[T | None] = Future()

    def first_done(done: Future[T]) -> None:
        error = done.exception()
        if error is None:
            made.set_result(done.result())
        elif when:
            made.set_result(None)
        else:
            made.set_exception(error)

    first.add_done_callback(first_done)
    return made


def gathered(futures: Sequence[Future[T]]) -> Future[list[T]]:
    """Give one future of all results, in order; it raises the first error in that order, when all are done.

    >>> gathered([settled(1), settled(2)]).result()
    [1, 2]
    """
    made: Future[list[T]] = Future()
    lock = threading.Lock()
    left = len(futures)

    def one_done(_done: Future[T]) -> None:
        nonlocal left
        with lock:
            left -= 1
            if left:
                return
        error = next((failed for future in futures if (failed := future.exception()) is not None), None)
        if error is not None:
            made.set_exception(error)
        else:
            made.set_result([future.result() for future in futures])

    if not futures:
        made.set_result([])
    for future in futures:
        future.add_done_callback(one_done)
    return made

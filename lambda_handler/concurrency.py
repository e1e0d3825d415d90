"""Map a function over items in several threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

MAX_CONNECTIONS = 32
"""How many connections each client keeps, and so how many reads are sent at once."""

T = TypeVar("T")
V = TypeVar("V")


def map_concurrently(
    func: Callable[[T], V], items: Iterable[T], *, max_workers: int, on_failure: Callable[[], object] = lambda: None
) -> list[V]:
    """
    Call *func* with each of *items* in threads, and return the results in the order of *items*.

    Args:
        on_failure: Is called after the first failure, to stop the running calls.

    Raises:
        Exception: The first failure. No further call starts after it, and
            running calls are awaited, so that no thread outlives this call.
    """
    with ThreadPoolExecutor(max_workers) as pool:
        running = [pool.submit(func, item) for item in items]
        done, _ = wait(running, return_when=FIRST_EXCEPTION)
        failed = next((future for future in done if future.exception() is not None), None)
        if failed is not None:
            on_failure()
            pool.shutdown(wait=False, cancel_futures=True)
            failed.result()
        return [future.result() for future in running]


def ask_each(ask: Callable[[T], V | None], items: Sequence[T], *, max_workers: int) -> dict[T, V]:
    """Call *ask* for each item concurrently, and return the results by item; items without a result are omitted."""
    results = zip(items, map_concurrently(ask, items, max_workers=max_workers), strict=True)
    return {item: result for item, result in results if result is not None}

"""The same work for several things, some of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")
V = TypeVar("V")


def side_by_side(do: Callable[[T], V], items: Iterable[T], *, at_once: int) -> list[V]:
    """
    Return what *do* makes of each of *items*, in their order.

    Raises:
        Exception: The first failure. Nothing is begun after it; what is under
            way is waited for, so that nothing goes on behind anybody's back.
    """
    with ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(do, item) for item in items]
        done, _ = wait(running, return_when=FIRST_EXCEPTION)
        failed = next((future for future in done if future.exception() is not None), None)
        if failed is not None:
            pool.shutdown(wait=False, cancel_futures=True)
            failed.result()
        return [future.result() for future in running]

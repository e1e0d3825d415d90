"""Applying a function to several items concurrently."""

from __future__ import annotations

import threading
import time

import pytest

from lambda_handler.concurrency import map_concurrently


def test_results_come_in_the_order_of_the_items() -> None:
    second_is_done = threading.Event()

    def do(number: int) -> int:
        if number == 1:
            assert second_is_done.wait(10)
        else:
            second_is_done.set()
        return number * 10

    assert map_concurrently(do, [1, 2, 3], max_workers=2) == [10, 20, 30]


@pytest.mark.parametrize("at_once", [1, 4])
def test_never_exceeds_the_number_of_workers(at_once: int) -> None:
    lock = threading.Lock()
    under_way, most = 0, 0
    everybody = threading.Barrier(at_once)

    def do(_: int) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        everybody.wait(10)
        with lock:
            under_way -= 1

    map_concurrently(do, range(4 * at_once), max_workers=at_once)

    assert most == at_once


def test_no_items_give_no_results() -> None:
    assert map_concurrently(str, [], max_workers=3) == []


def test_after_a_failure_no_item_is_started_and_the_others_stop() -> None:
    begun, ended = [], []
    failed = threading.Event()

    def do(number: int) -> None:
        begun.append(number)
        if number == 1:
            failed.set()
            message = "one"
            raise ValueError(message)
        failed.wait(10)
        time.sleep(0.1)
        ended.append(number)

    with pytest.raises(ValueError, match="one"):
        map_concurrently(do, range(100), max_workers=3)

    assert len(begun) < 10
    assert sorted([*ended, 1]) == sorted(begun)

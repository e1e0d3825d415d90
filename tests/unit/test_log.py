"""Log lines are complete, even with concurrent writers, and each is one object."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TextIO

import pytest

from lambda_handler.log import Log

LENGTHS = (0, 100, 4_000, 8_191, 8_192, 70_000)
"""Around what a pipe takes at once, and what Python's buffers hold."""


class Raw(io.RawIOBase):
    """Stands in for the system's write and records the argument of each call."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        content = bytes(memoryview(data))  # type: ignore[arg-type]
        self.written.append(content)
        return len(content)


class Unbuffered:
    """Standard output as Lambda's runtime replaces it: each call writes immediately."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()

    def flush(self) -> None:
        self.stream.flush()


@contextmanager
def pipe() -> Iterator[tuple[TextIO, list[bytes]]]:
    """Yield the writing end of a pipe, and a list of what was read after it is closed."""
    reading, writing = os.pipe()
    came: list[bytes] = []

    def read() -> None:
        while piece := os.read(reading, 65_536):
            came.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        yield stream, came
    reader.join()
    os.close(reading)


@pytest.mark.parametrize("length", LENGTHS)
def test_writes_a_line_and_its_line_break_in_one_call(length: int) -> None:
    raw = Raw()
    log = Log(stream=io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8"))

    log.info("x" * length)
    log.warning("second")

    assert [content[-2:] for content in raw.written] == [b"}\n", b"}\n"]
    assert json.loads(raw.written[0])["message"] == "x" * length


@pytest.mark.parametrize("is_unbuffered", [False, True], ids=["stdout of Python", "stdout of Lambda"])
def test_lines_of_many_threads_stay_intact_on_a_pipe(is_unbuffered: bool) -> None:  # noqa: FBT001 - a table
    threads, lines = 16, 120
    together = threading.Barrier(threads)

    def write(number: int) -> None:
        log = Log(stream=shared).bind(thread=number)
        together.wait()
        for line in range(lines):
            log.info("m" * LENGTHS[(number + line) % len(LENGTHS)], line=line)

    with pipe() as (stream, came):
        shared: TextIO = Unbuffered(stream) if is_unbuffered else stream  # type: ignore[assignment]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(write, range(threads)))

    records = [json.loads(line) for line in b"".join(came).splitlines()]
    assert sorted((record["thread"], record["line"]) for record in records) == [
        (thread, line) for thread in range(threads) for line in range(lines)
    ]


def test_a_line_is_written_when_the_call_returns() -> None:
    """Lambda may freeze the function at any moment after its response."""
    program = "import os; from lambda_handler.log import Log; Log().info('said'); os._exit(0)"

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert json.loads(ended.stdout) == {"level": "INFO", "message": "said"}


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\u2028b", "\ud800", '"}\n{"level": "ERROR"}'])
def test_no_value_can_forge_a_line(text: str) -> None:
    stream = io.StringIO()

    Log(stream=stream).info(text, field=text)

    (line,) = stream.getvalue().splitlines()
    assert json.loads(line) == {"level": "INFO", "message": text, "field": text}

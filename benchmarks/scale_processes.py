"""
Objects in processes of their own, so that they do not wait for each other.

One interpreter runs one thread at a time.
"""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, Protocol, TypeVar, cast

from .processes import BenchmarkError

_END_SECONDS = 10.0


class Closing(Protocol):
    """Something that can be told to end."""

    def close(self) -> None:
        """Let go of what it holds."""


T = TypeVar("T", bound=Closing)


@contextmanager
def in_own_process(make: Callable[..., T], *arguments: object) -> Iterator[T]:
    """
    Make an object in a new process, and give what passes calls of its methods on.

    One thread at a time may call them. The process ends with this one, however this one ends.

    Args:
        make: A class; it, arguments and results are pickled.
    """
    remote = _Remote(make, arguments)
    try:
        yield cast("T", remote)
    finally:
        remote.end()


class _Remote:
    """One object."""

    def __init__(self, make: Callable[..., object], arguments: tuple[object, ...]) -> None:
        # Not forked: threads of ours would be missing there, with the locks that they hold.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
        self._process.start()
        theirs.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments: self.call(name, *arguments)

    def call(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever the method returns
        """
        Call a method.

        Raises:
            BenchmarkError: It failed, or its process has ended.
        """
        try:
            self._pipe.send((name, arguments))
            failure, result = self._pipe.recv()
        except (EOFError, OSError) as error:
            message = f"the process that was asked for {name} has ended"
            raise BenchmarkError(message) from error
        if failure:
            message = f"{name} failed in a process of its own: {failure}"
            raise BenchmarkError(message)
        return result

    def end(self) -> None:
        """Close the object, and end its process."""
        self._pipe.close()
        self._process.join(_END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


def _serve(pipe: Connection, make: Callable[..., Closing], arguments: tuple[object, ...]) -> None:
    """Make the object, and carry calls out until nobody is there to make them."""
    _allow_many_connections()
    subject = make(*arguments)
    try:
        # The other end closes the pipe, or is gone.
        with suppress(EOFError, OSError, KeyboardInterrupt):
            while True:
                name, given = pipe.recv()
                pipe.send(_call(subject, name, given))
    finally:
        subject.close()


def _call(subject: object, name: str, arguments: tuple[object, ...]) -> tuple[str, Any]:
    """Return why a call failed, or else what it returned."""
    try:
        return "", getattr(subject, name)(*arguments)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other process has to know
        return f"{type(error).__name__}: {error}", None


def _allow_many_connections() -> None:
    """Allow as many descriptors as the system does: hundreds of functions have some each."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

"""Run objects in separate processes, because one interpreter runs only one thread at a time."""

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
    """An object that can be closed."""

    def close(self) -> None:
        """Release its resources."""


T = TypeVar("T", bound=Closing)


@contextmanager
def in_own_process(make: Callable[..., T], *arguments: object) -> Iterator[T]:
    """
    Create an object in a new process, and yield a proxy that forwards method calls.

    Only one thread at a time may call methods. The process always ends with this one.

    Args:
        make: The class. The class, arguments and results are pickled.
    """
    remote = _Remote(make, arguments)
    try:
        yield cast("T", remote)
    finally:
        remote.end()


class _Remote:
    """One object."""

    def __init__(self, make: Callable[..., object], arguments: tuple[object, ...]) -> None:
        # Not forked: our threads would be missing there, but the locks that they hold would stay locked.
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
            message = f"the process ended during {name}"
            raise BenchmarkError(message) from error
        if failure:
            message = f"{name} failed in its process: {failure}"
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
    """Create the object, and carry out calls until the other end is closed."""
    _allow_many_connections()
    subject = make(*arguments)
    try:
        # The other end has closed the pipe or ended.
        with suppress(EOFError, OSError, KeyboardInterrupt):
            while True:
                name, given = pipe.recv()
                pipe.send(_call(subject, name, given))
    finally:
        subject.close()


def _call(subject: object, name: str, arguments: tuple[object, ...]) -> tuple[str, Any]:
    """Return the error of a call, or its result."""
    try:
        return "", getattr(subject, name)(*arguments)
    except Exception as error:  # noqa: BLE001 - reported to the other process
        return f"{type(error).__name__}: {error}", None


def _allow_many_connections() -> None:
    """Raise the limit of file descriptors to the maximum, because hundreds of functions have several each."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

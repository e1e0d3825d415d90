"""Resolve only the names of this machine, because a random address may belong to a real host."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


@pytest.fixture(scope="module", autouse=True)
def _no_other_names() -> Iterator[None]:
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any, **more: Any) -> Any:
        if host not in THIS_MACHINE:
            message = f"{host!r} is not this machine"
            raise socket.gaierror(socket.EAI_NONAME, message)
        return resolve(host, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield

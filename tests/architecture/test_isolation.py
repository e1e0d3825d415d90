"""The rules of ``tests/conftest.py`` hold."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path

import pytest


def test_a_test_may_connect_to_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=5):
        pass


def test_refuses_a_connection_to_another_machine() -> None:
    """The address belongs to a block that RFC 5737 reserves for documentation."""
    with pytest.raises(ConnectionRefusedError, match="tests may only reach this machine"):
        socket.create_connection(("192.0.2.1", 443), timeout=5)


def test_the_credentials_of_the_user_are_hidden() -> None:
    assert [name for name in os.environ if name.startswith("AWS_") and "KEY" in name] == []
    assert os.environ["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull


@pytest.mark.parametrize("tool", ["node", "cdk"])
def test_the_tools_are_those_of_the_checkout(tool: str) -> None:
    assert shutil.which(tool) == str(Path(sys.prefix) / "bin" / tool)

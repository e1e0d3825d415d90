"""Copies from the registry server of go-containerregistry, which responds with 416 to open ranges."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest
import urllib3

from cdk_ecrpublic.sandbox.images import push
from lambda_handler.clock import Deadline, SystemClock
from lambda_handler.oci import Digest, Repository
from lambda_handler.registry import RegistryClient, Transport
from lambda_handler.registry.auth import RegistryAuth
from tests.support.registries import wait_for

from .conftest import Publisher, two_platforms

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which("crane") is None, reason="not installed: crane (tests/peers/install)"),
]


@pytest.fixture
def host() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
    with subprocess.Popen(
        ["crane", "registry", "serve", "--address", host], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_for(host)
            yield host
        finally:
            process.terminate()


def test_copies_an_image_with_its_referrers(publisher: Publisher, host: str) -> None:
    image = two_platforms()
    push(f"{host}/team/app", image, ["1"], login="nobody:")

    publisher.publish({"Image": {"Reference": f"{host}/team/app:1"}}, "1", IncludeReferrers="true")

    assert publisher.pull("1") == image


def test_resumes_a_broken_download(publisher: Publisher, host: str) -> None:
    del publisher  # nothing is published
    image = two_platforms(size=100_000)
    push(f"{host}/team/app", image, ["1"], login="nobody:")
    digest, content = max(image.children[0].blobs.items(), key=lambda each: len(each[1]))
    repository = Repository.parse(f"{host}/team/app")
    transport = Transport(urllib3.PoolManager(), Deadline.after(20, SystemClock()))
    client = RegistryClient(transport, RegistryAuth(repository.host, lambda: None))

    rest = b"".join(client.open_blob(repository, Digest.parse(digest), 100, len(content)))

    assert rest == content[100:]

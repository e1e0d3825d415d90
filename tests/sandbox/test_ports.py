"""The ports of a running sandbox: one, and one more for each function with its own runtime."""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import urllib3

from cdk_ecrpublic.sandbox import SandboxProcess

from .wire import send

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells who listens: Linux only")

LISTENS = "0A"
"""A state of TCP, as /proc/net/tcp writes it."""

BOOTSTRAP = """\
#!{python}
import json, os, urllib.request
address = os.environ["AWS_LAMBDA_RUNTIME_API"]
invocation = f"http://{{address}}/2018-06-01/runtime/invocation"
while True:
    with urllib.request.urlopen(f"{{invocation}}/next") as event:
        request, given = event.headers["Lambda-Runtime-Aws-Request-Id"], json.load(event)
    answer = json.dumps([address, given]).encode()
    urllib.request.urlopen(f"{{invocation}}/{{request}}/response", data=answer).close()
"""

NEXT = "/2018-06-01/runtime/invocation/next"


@pytest.fixture
def process() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        yield process


def listening(process: SandboxProcess) -> set[str]:
    """Return the addresses that a sandbox and its functions listen on, such as ``127.0.0.1:53111``."""
    children = [addresses_of({child, *descendants(child)}) for child in children_of(os.getpid())]
    (found,) = [addresses for addresses in children if process.registry_host in addresses]
    return found


def addresses_of(processes: set[int]) -> set[str]:
    sockets = {inode for process in processes for inode in sockets_of(process)}
    tables = [Path(f"/proc/net/{name}") for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return {readable(row[1]) for row in rows if row[3] == LISTENS and row[9] in sockets}


def children_of(parent: int) -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            if int(entry.read_text().rpartition(")")[2].split()[1]) == parent:
                yield int(entry.parent.name)


def descendants(parent: int) -> Iterator[int]:
    for child in children_of(parent):
        yield child
        yield from descendants(child)


def sockets_of(process: int) -> list[str]:
    found = []
    with suppress(OSError):  # it has ended
        for link in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):  # it was closed
                found.append(str(link.readlink()))
    return [name[len("socket:[") : -1] for name in found if name.startswith("socket:[")]


def readable(address: str) -> str:
    host, _, port = address.partition(":")
    known = {"0100007F": "127.0.0.1"}
    return f"{known.get(host, host)}:{int(port, 16)}"


def create(process: SandboxProcess, name: str, runtime: str, file: str, content: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        entry = zipfile.ZipInfo(file)
        entry.external_attr = 0o100755 << 16
        archive.writestr(entry, content)
    process.client("lambda").create_function(
        FunctionName=name,
        Runtime=runtime,
        Handler="index.handler",
        Role=f"arn:aws:iam::{process.account}:role/x",
        Code={"ZipFile": packed.getvalue()},
        Timeout=20,
    )


def invoke(process: SandboxProcess, name: str, event: object = None) -> object:
    answer = process.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    return json.loads(answer["Payload"].read())


def test_one_port_of_the_loopback_interface_is_open(process: SandboxProcess) -> None:
    """These services have separate ports on AWS, and in ministack if it finds Docker or its extras."""
    process.client("transfer").create_server(Protocols=["SFTP"])
    process.client("dsql").create_cluster()
    process.client("iot").describe_endpoint()
    process.client("elasticache").create_cache_cluster(
        CacheClusterId="cache", Engine="redis", CacheNodeType="cache.t3.micro", NumCacheNodes=1
    )
    create(process, "python", "python3.14", "index.py", "def handler(event, context):\n    return 'ran'\n")

    assert invoke(process, "python") == "ran"
    assert listening(process) == {process.registry_host}


@pytest.mark.parametrize(
    "fields",
    [
        [("Origin", "http://evil.example")],
        [("Sec-Fetch-Site", "cross-site")],
        [("User-Agent", "Mozilla/5.0")],
        [("Host", "evil.example")],
        [],
    ],
    ids=["origin", "site", "older browser", "another name", "no host"],
)
def test_the_port_of_a_function_refuses_web_pages(
    running_function: tuple[SandboxProcess, str], fields: list[tuple[str, str]]
) -> None:
    """Otherwise a page could take the next event of the function and respond to it."""
    process, address = running_function
    port = int(address.rpartition(":")[2])
    host = [] if not fields or fields[0][0] == "Host" else [("Host", address)]

    answer = send(port, "GET", NEXT, [*host, *fields])

    assert (answer.status, answer.text.startswith("The sandbox refuses this request: ")) == (403, True)
    assert invoke(process, "program", {"number": 7}) == [address, {"number": 7}]


@pytest.fixture(scope="module")
def running_function() -> Iterator[tuple[SandboxProcess, str]]:
    """A function with its own runtime, and the address where that fetches events."""
    with SandboxProcess() as process:
        create(process, "program", "provided.al2023", "bootstrap", BOOTSTRAP.format(python=sys.executable))
        answer = invoke(process, "program")
        assert isinstance(answer, list)
        yield process, answer[0]


def test_the_port_of_a_function_is_the_only_other_port(running_function: tuple[SandboxProcess, str]) -> None:
    process, address = running_function

    assert listening(process) == {process.registry_host, address}


def test_the_port_of_a_function_serves_other_clients(running_function: tuple[SandboxProcess, str]) -> None:
    _, address = running_function

    answer = urllib3.request("POST", f"http://{address}/2018-06-01/runtime/invocation/none/response", body=b"1")

    assert (answer.status, answer.json()["errorType"]) == (400, "InvalidRequestID")

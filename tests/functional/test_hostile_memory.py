"""
The function uses little memory, however much a registry sends and whatever sizes it declares.

Each function runs in a new process, whose peak memory the system reports.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lambda_handler.oci import MANIFEST_MAX_BYTES, Digest, ManifestMediaType
from lambda_handler.oci.bounded_json import VALUES_MAX
from lambda_handler.publish.tree import REFERENCES_MAX
from tests.fuzz.server import Server, http, serve
from tests.protocol.cloudformation import Answer, AnswerAddress, CloudFormation, answer_address
from tests.protocol.conftest import Registry
from tests.support.control_plane import ControlPlane

CHECKOUT = Path(__file__).parents[2]
STATUS = Path("/proc/self/status")
MIB = 1024 * 1024

PEAK_MAX_MIB = 128
"""Of the 512 MiB that a function has; 43 of them are Python and boto3, and 97 were the most that was seen."""

LONG_PAGES = 4
"""Of each list of referrers, which has no end; the other pages are short, so that the function soon has read 50."""

NEARLY_ALL = MANIFEST_MAX_BYTES - 16_384
OCI_MANIFEST, OCI_INDEX = ManifestMediaType.OCI_MANIFEST.value, ManifestMediaType.OCI_INDEX.value
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"

PROGRAM = """
import json, sys
from pathlib import Path
from lambda_handler.clock import SystemClock
from lambda_handler.entrypoint import Clients, serve

class Context:
    aws_request_id = "lambda-request"

    def get_remaining_time_in_millis(self):
        return 100_000

serve(json.load(sys.stdin), Context(), Clients(), SystemClock())
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""

pytestmark = pytest.mark.skipif(not STATUS.exists(), reason="the system does not tell a process's peak")


def digest(content: bytes) -> str:
    return str(Digest.of(content))


def dump(**data: object) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, **data}).encode()


def entry(content: bytes, media_type: str = OCI_MANIFEST, size: int | None = None) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content) if size is None else size}


def index(children: list[bytes], size: int | None = None) -> bytes:
    return dump(mediaType=OCI_INDEX, manifests=[entry(child, size=size) for child in children])


def image(number: int, length: int = 0, values: int = 0, **more: object) -> bytes:
    """Write a manifest with at least so many bytes and so many values."""
    odd: list[object] = [{"": {}}] * (values // 3)
    short = dump(config=entry(b"{}", "a"), layers=[], number=number, odd=odd, padding="", **more)
    return short[:-2] + b"x" * (length - len(short)) + b'"}'


def referring(number: int, references: int) -> bytes:
    layers = [
        {"mediaType": "a", "digest": digest(f"{number} {each}".encode()), "size": 1} for each in range(references)
    ]
    return dump(config=entry(b"{}", "a"), layers=layers)


@dataclass
class Hostile:
    """
    A registry and its content.

    Attributes:
        stored: By tag or digest.
        properties: Properties of the declaration, in addition to its source.
        list_type: The content type of its list of referrers.
    """

    stored: dict[str, bytes]
    properties: Mapping[str, object] = field(default_factory=dict)
    list_type: str = OCI_INDEX

    def answer(self, first: str) -> bytes:
        method, path, _ = first.split(" ")
        if "/referrers/" in path:
            page = int(path.partition("?")[2] or 0)
            listed = self.stored["referrers"] if page < LONG_PAGES else index([])
            return http(200, listed, ("Content-Type", self.list_type), ("Link", f"<?{page + 1}>; rel=next"))
        content = self.stored.get(path.rpartition("/")[2])
        if content is None:
            return http(404, b"")
        head = http(200, content, ("Content-Type", OCI_INDEX if OCI_INDEX.encode() in content[:200] else OCI_MANIFEST))
        return head[: -len(content)] if method == "HEAD" else head


def hostile(children: list[bytes], *, size: int | None = None, **more: bytes) -> dict[str, bytes]:
    """Return a registry that has an index of *children* under the tag ``1``."""
    return {**{digest(child): child for child in children}, "1": index(children, size), **more}


def t5() -> Hostile:
    return Hostile(hostile([image(number, NEARLY_ALL, 10 * VALUES_MAX) for number in range(16)], size=2))


def as_long_as_it_says() -> Hostile:
    return Hostile(hostile([image(number, NEARLY_ALL) for number in range(24)]))


def as_many_values_as_there_may_be() -> Hostile:
    return Hostile(hostile([image(number, NEARLY_ALL, VALUES_MAX - 1000) for number in range(3)]))


def as_many_layers_as_there_may_be() -> Hostile:
    return Hostile(hostile([referring(number, REFERENCES_MAX // 10 - 10) for number in range(10)]))


def more_layers() -> Hostile:
    return Hostile(hostile([referring(number, REFERENCES_MAX // 2) for number in range(8)]))


def a_top_of_too_many_values() -> Hostile:
    return Hostile({"1": image(0, NEARLY_ALL, 10 * VALUES_MAX)})


def a_long_config() -> Hostile:
    config = json.dumps([{"": {}}] * (VALUES_MAX // 4)).encode()[:-1] + b',"' + b"x" * 3 * MIB + "\U0001f600".encode()
    config += b'"]'
    top = dump(config=entry(config, OCI_CONFIG), layers=[])
    return Hostile({digest(config): config, "1": top}, {"Platforms": ["linux/amd64"]})


def long_signatures() -> Hostile:
    images = [image(number) for number in range(12)]
    stored = hostile(images)
    tags = [f"sha256-{digest(each)[7:]}{suffix}" for each in images for suffix in ("", ".sig", ".att", ".sbom")]
    stored.update({tag: image(100 + number, NEARLY_ALL, VALUES_MAX - 1000) for number, tag in enumerate(tags)})
    return Hostile(stored, {"IncludeReferrers": "true"})


def long_lists_of_referrers() -> Hostile:
    page = image(0, NEARLY_ALL, VALUES_MAX - 1000).replace(OCI_MANIFEST.encode(), OCI_INDEX.encode(), 1)
    page = page.replace(b'"config"', b'"odder"').replace(b'"layers"', b'"oddest"')
    return Hostile(hostile([image(number) for number in range(12)], referrers=page), {"IncludeReferrers": "true"})


def lists_of_no_type() -> Hostile:
    """Return lists of 4 MiB with a generic type, for two images at the same time."""
    page = b'{"a": [' + b'{"":{}},' * ((NEARLY_ALL - 20) // 8) + b"0]}"
    stored = hostile([image(number) for number in range(4)], referrers=page)
    return Hostile(stored, {"IncludeReferrers": "true"}, list_type="application/octet-stream")


CASES: Mapping[Callable[[], Hostile], str] = {
    t5: "INTEGRITY: the index sha256:",
    as_long_as_it_says: "INVALID_MANIFEST: the image has more than 2000 manifests, or 16777216 bytes of them",
    as_many_values_as_there_may_be: "NOT_FOUND: GET blob",
    as_many_layers_as_there_may_be: "NOT_FOUND: GET blob",
    more_layers: "INVALID_MANIFEST: the image has more than 10000 layers, configs and manifests in total",
    a_top_of_too_many_values: "INVALID_MANIFEST: the manifest is not valid JSON: it has more than 100000",
    a_long_config: "INVALID_MANIFEST: the config sha256:",
    long_signatures: "INVALID_MANIFEST: the set of referrers of the image has more than 2000 manifests, or 167",
    lists_of_no_type: "INVALID_MANIFEST: the manifest is not valid JSON: it has more than 100000",
    long_lists_of_referrers: "INVALID_MANIFEST: registry",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve() as running:
        yield running


@pytest.fixture
def address() -> Iterator[AnswerAddress]:
    with answer_address() as address:
        yield address


def nothing(event: Mapping[str, object], remaining_seconds: float) -> None:
    """Stand in for the function, which runs in a separate process here."""
    del event, remaining_seconds


def peak_mib(properties: Mapping[str, object], address: AnswerAddress) -> tuple[int, Answer]:
    """Serve a Create in a new process; return its peak memory and its response."""
    cloudformation = CloudFormation(nothing, address)
    event: dict[str, Any] = cloudformation.event("Create", properties)
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(event),
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return int(ended.stdout.split()[-1]) // 1024, cloudformation.answer_to(event)


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_t5_memory_is_bounded_whatever_a_registry_sends(
    registry: Registry, plane: ControlPlane, server: Server, address: AnswerAddress, make: Callable[[], Hostile]
) -> None:
    del registry, plane  # they set the environment that the function inherits
    enemy = make()
    server.answer = enemy.answer
    source = {"Image": {"Reference": f"{server.host}/evil/image:1"}}
    properties = {"RepositoryName": "acme/agent", "ImageTags": ["1"], "Source": source, **enemy.properties}

    peak, answer = peak_mib(properties, address)

    assert answer.reason.startswith(CASES[make])
    assert peak < PEAK_MAX_MIB

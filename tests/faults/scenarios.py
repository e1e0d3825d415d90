"""
Every fault at every call: its cost and its result.

Each run is the real handler against the sandbox, with one fault scripted at
one operation. The clock advances only when the handler waits, so waits are
measured without taking real time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from cdk_ecrpublic.sandbox import Fault
from cdk_ecrpublic.sandbox.images import Image, build_image
from lambda_handler.entrypoint import CLOCK_SKEW_SECONDS, RESPONSE_RESERVE_SECONDS, UNDO_RESERVE_SECONDS
from lambda_handler.oci import Digest
from lambda_handler.retry import CONSISTENCY_TIMEOUT_SECONDS, CONSISTENCY_WAIT_SECONDS, SHORTEST_WAIT_SECONDS
from tests.protocol.cloudformation import CloudFormation, answer_address
from tests.protocol.conftest import Lambda, Registry, declare
from tests.support.pushed import push_image

NOMINAL_WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""What a wait is called that takes half to all of it."""

PATIENT_SECONDS = CONSISTENCY_TIMEOUT_SECONDS + CONSISTENCY_WAIT_SECONDS
"""What a minute of patience takes at most: the last wait begins within it."""

WORK_SECONDS = 300 - CLOCK_SKEW_SECONDS - RESPONSE_RESERVE_SECONDS - UNDO_RESERVE_SECONDS
"""Of the ``ServiceTimeout`` that CloudFormation's simulator declares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of fault, for each of the two APIs."""

    name: str
    api: Mapping[str, Any]
    http: Mapping[str, Any]

    def at(self, operation: str, face: str, times: int | None) -> Fault:
        return Fault(operation=operation, times=times, **(self.api if face == "api" else self.http))


KINDS = (
    Kind(name="throttled", api={"code": "ThrottlingException"}, http={"status": 429}),
    Kind(name="server error", api={"code": "ServerException"}, http={"status": 503}),
    Kind(name="no connection", api={"drop": "before"}, http={"drop": "before"}),
    Kind(name="response lost", api={"drop": "after"}, http={"drop": "after"}),
    Kind(name="response truncated", api={"truncate_bytes": 5}, http={"truncate_bytes": 5}),
    Kind(name="denied", api={"code": "AccessDeniedException"}, http={"status": 403}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A deployment, and its calls in order: operation and API."""

    name: str
    calls: tuple[tuple[str, str], ...]
    declare: Callable[[Registry], dict[str, Any]]


def _retag(registry: Registry) -> dict[str, Any]:
    return declare(registry.push("first"), "1", "latest")


def _copy(registry: Registry) -> dict[str, Any]:
    """Declare a copy of only one blob, because the waits of several concurrent uploads would be random."""
    client = registry.sandbox.client("ecr-public")
    client.create_repository(repositoryName="up/stream")
    image = build_image({"etc/name": b"copied"})
    push_image(registry.sandbox, "up/stream", image)
    push_image(registry.sandbox, "acme/agent", _with_another_layer(image))
    uri = client.describe_repositories(repositoryNames=["up/stream"])["repositories"][0]["repositoryUri"]
    return {**declare(image, "1"), "Source": {"Image": {"Reference": f"{uri}@{image.digest}"}}}


def _with_another_layer(image: Image) -> Image:
    """Return an image with the same config."""
    manifest = json.loads(image.manifest)
    config, layer = manifest["config"]["digest"], b"another layer"
    digest = str(Digest.of(layer))
    manifest["layers"] = [{**manifest["layers"][0], "digest": digest, "size": len(layer)}]
    blobs = {config: image.blobs[config], digest: layer}
    return Image(manifest=json.dumps(manifest).encode(), media_type=image.media_type, blobs=blobs)


RETAG = Scenario(
    name="retag",
    calls=(
        ("DescribeRepositories", "api"),
        ("GetAuthorizationToken", "api"),
        ("Token", "http"),
        ("GetManifest", "http"),
        ("DescribeImages", "api"),
        ("PutImage", "api"),
    ),
    declare=_retag,
)

COPY = Scenario(
    name="copy",
    calls=(
        ("GetManifest", "http"),
        ("BatchCheckLayerAvailability", "api"),
        ("GetBlob", "http"),
        ("DownloadBlob", "http"),
        ("StartUpload", "http"),
        ("CompleteUpload", "http"),
        ("PutImage", "api"),
    ),
    declare=_copy,
)


SCENARIOS = (RETAG, COPY)

TIMES: Mapping[int | None, str] = {1: "once", None: "every time"}


def heading(scenario: Scenario, times: int | None) -> str:
    """Return the heading of a table."""
    return f"### {scenario.name.capitalize()}: the fault occurs {TIMES[times]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """
    The result of a fault.

    Attributes:
        outcome: ``published``, or the code of the error.
        waited_seconds: The maximum, because waits have random lengths.
        is_out_of_time: Whether it waited until its deadline.
    """

    outcome: str
    waited_seconds: float
    is_out_of_time: bool = False

    def __str__(self) -> str:
        if not self.waited_seconds:
            return self.outcome
        waited = duration(self.waited_seconds)
        return f"{self.outcome}, {f'until the deadline ({waited})' if self.is_out_of_time else waited}"


def run(scenario: Scenario, fault: Fault, registry: Registry) -> Cost:
    """Deploy with a fault, and return the result."""
    properties = scenario.declare(registry)
    old = registry.push("old", *properties["ImageTags"])
    before = dict.fromkeys(properties["ImageTags"], old.digest)
    registry.sandbox.faults.add(fault)
    with answer_address() as address, closing(Lambda()) as function:
        answer = CloudFormation(function, address).create(properties)
        slept = function.clock.slept
    registry.sandbox.faults.clear()
    if answer.succeeded:
        assert registry.tags() == dict.fromkeys(before, answer.data["ImageDigest"])
    else:
        assert registry.tags() == before, answer.reason
    outcome = "published" if answer.succeeded else f"`{answer.reason.partition(':')[0]}`"
    return _cost(outcome, slept)


def duration(seconds: float) -> str:
    """Format a duration for people: ``15.5 s``, ``4 min 25 s``."""
    minutes, rest = divmod(seconds, 60)
    return f"{seconds:g} s" if seconds < 2 * 60 else f"{minutes:g} min {rest:g} s"


def _cost(outcome: str, slept: Sequence[float]) -> Cost:
    waited = sum(slept)
    if waited > WORK_SECONDS - 2 * SHORTEST_WAIT_SECONDS:
        return Cost(outcome=outcome, waited_seconds=WORK_SECONDS, is_out_of_time=True)
    if CONSISTENCY_TIMEOUT_SECONDS <= waited <= PATIENT_SECONDS:
        return Cost(outcome=outcome, waited_seconds=PATIENT_SECONDS)
    return Cost(outcome=outcome, waited_seconds=sum(map(_nominal, slept)))


def _nominal(seconds: float) -> float:
    return min(wait for wait in NOMINAL_WAITS if wait >= seconds)

"""The whole handler: any event gets exactly one valid response, or is refused as not from CloudFormation."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cdk_ecrpublic.sandbox import Sandbox
from cdk_ecrpublic.sandbox.images import Image, build_image
from lambda_handler.entrypoint import Clients, serve
from lambda_handler.errors import DeliveryError, ImageError, ProtocolError
from tests.fuzz.hostile import JSON, OBJECTS, TEXTS, changed, outcome, written
from tests.fuzz.test_properties import EVENT, EVERY_SOURCE
from tests.fuzz.test_records import OF_VERSION_0_1, RECORD
from tests.protocol.cloudformation import AnswerAddress, answer_address, check
from tests.support.clock import SteppingClock
from tests.support.control_plane import ControlPlane, control_plane
from tests.support.parameters import VALUE_MAX_CHARACTERS
from tests.support.pushed import push_image

NAME = "acme/agent"
PARAMETER = "/cdk-ecrpublic/acme/agent/Stack.Release"
"""Where version 0.1 kept its record."""

RECORDS = "/cdk-ecrpublic/state/123456789012/acme--agent"
OURS, OTHER = "eu-west-1.Agent.Release", "eu-west-1.Agent.Other"
A_DEFECT = "INTERNAL"


@dataclass(frozen=True)
class Context:
    aws_request_id: str = "lambda-request"

    def get_remaining_time_in_millis(self) -> int:
        return 600_000


@dataclass
class World:
    """The warm function and its environment."""

    sandbox: Sandbox
    address: AnswerAddress
    plane: ControlPlane
    image: Image
    clients: Clients = field(default_factory=Clients)

    def send(self, event: Mapping[str, Any]) -> tuple[ImageError | None, list[bytes]]:
        """Deliver an event; return the exception of the function, and all responses."""
        # A repeated request gets the same response, and all of these have the same id.
        self.clients.responses.clear()
        error = outcome(lambda: serve(event, Context(), self.clients, SteppingClock()))
        answers = [body for bodies in self.address.received.values() for body in bodies]
        self.address.received.clear()
        return error, answers


@pytest.fixture(scope="module")
def world(running_sandbox: Sandbox) -> Iterator[World]:
    running_sandbox.reset()
    with answer_address() as address, control_plane() as plane, pytest.MonkeyPatch.context() as patch:
        for name, value in {**running_sandbox.environment(), **plane.environment()}.items():
            patch.setenv(name, value)
        running_sandbox.client("ecr-public").create_repository(repositoryName=NAME)
        image = build_image({"a": b"1"}, platforms=("linux/amd64", "linux/arm64"))
        push_image(running_sandbox, NAME, image, ["build"])
        yield World(running_sandbox, address, plane, image)


SOURCES = st.sampled_from([{"Tag": "build"}, {"Index": {"Manifests": [{"Source": {"Tag": "build"}}]}}, *EVERY_SOURCE])


def declaration(source: Mapping[str, Any], tags: list[str], *, removes: bool) -> dict[str, Any]:
    removal = {"OnTagRemoved": "Untag", "OnDelete": "Delete", "StateParameterName": PARAMETER} if removes else {}
    return {"RepositoryName": NAME, "Source": copy.deepcopy(source), "ImageTags": tags, **removal}


DECLARATIONS = st.builds(
    declaration, SOURCES, st.lists(st.sampled_from(["1.4", "latest"]), unique=True), removes=st.booleans()
)
PROPERTIES = st.one_of(DECLARATIONS, DECLARATIONS, changed(DECLARATIONS), changed(DECLARATIONS, TEXTS), OBJECTS)
EVENTS = st.builds(
    lambda kind, new, old: {**EVENT, "RequestType": kind, "ResourceProperties": new, "OldResourceProperties": old},
    st.sampled_from(["Create", "Update", "Delete"]),
    PROPERTIES,
    PROPERTIES,
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(EVENTS)
def test_any_properties_get_one_valid_response(world: World, event: dict[str, Any]) -> None:
    event["ResponseURL"] = f"{world.address.url}/answer?signature"

    error, answers = world.send(event)

    assert error is None
    (body,) = answers
    answer = check(event, body)
    assert not answer.reason.startswith(A_DEFECT)
    assert answer.succeeded or event["RequestType"] == "Create" or answer.physical_id == event["PhysicalResourceId"]


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(changed(EVENTS) | changed(st.just(EVENT), TEXTS) | OBJECTS, st.sampled_from(["kept", "kept", "changed"]))
def test_any_event_gets_one_response_or_is_refused(world: World, event: dict[str, Any], url: str) -> None:
    if url == "kept":
        event["ResponseURL"] = f"{world.address.url}/answer?signature"

    error, answers = world.send(event)

    if error is None:
        (body,) = answers
        assert not check(event, body).reason.startswith(A_DEFECT)
    else:
        assert isinstance(error, ProtocolError if url == "kept" else ProtocolError | DeliveryError)
        assert answers == []


def segments(image: Image) -> list[str]:
    return ["moving", "undo", image.digest.removeprefix("sha256:")]


REMEMBERED = written(JSON) | written(changed(st.sampled_from([RECORD, OF_VERSION_0_1]))) | st.binary(max_size=5)


@pytest.mark.parametrize("request_type", ["Create", "Update", "Delete"])
@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(content=REMEMBERED, is_moving=st.booleans(), is_ours=st.booleans())
def test_any_record_gets_one_valid_response(
    world: World, request_type: str, status: str, content: bytes, *, is_moving: bool, is_ours: bool
) -> None:
    """Records are written by the function, but anyone with permission to write parameters can change them."""
    text = content.decode("utf-8", "replace")
    assume(len(text) <= VALUE_MAX_CHARACTERS)
    names = [f"{RECORDS}/{segment}/{OURS if is_ours else OTHER}" for segment in segments(world.image)]
    world.plane.parameters = dict.fromkeys([*names, PARAMETER if is_ours else f"{PARAMETER}2"], text)
    world.plane.status = status
    source = {"Tag": "build"} if is_moving else {"Digest": world.image.digest}
    properties = declaration(source, ["1.4"], removes=True)
    old = {**properties, "ImageTags": ["1.4", "old"]}
    event = {
        **EVENT,
        "RequestType": request_type,
        "ResponseURL": f"{world.address.url}/answer?signature",
        "ResourceProperties": properties,
        "OldResourceProperties": old,
    }

    error, answers = world.send(event)

    assert error is None
    answer = check(event, answers[0])
    assert not answer.reason.startswith(A_DEFECT)
    is_undone = status != "UPDATE_IN_PROGRESS" and request_type == "Update" and is_moving
    assert answer.succeeded or (
        is_undone and answer.reason.startswith("NOT_FOUND: this is a rollback, and the image that the source ")
    )


def test_the_image_of_all_examples_still_exists(world: World) -> None:
    client = world.sandbox.client("ecr-public")

    assert client.describe_images(repositoryName=NAME, imageIds=[{"imageTag": "build"}])["imageDetails"]

"""The whole handler: any event gets exactly one answer that CloudFormation takes, or is none of its events."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdk_ecrpublic.sandbox import Sandbox
from cdk_ecrpublic.sandbox.images import build_image, push_image
from lambda_handler.entrypoint import Clients, serve
from lambda_handler.errors import DeliveryError, ImageError, ProtocolError
from tests.fuzz.hostile import JSON, OBJECTS, TEXTS, changed, outcome
from tests.fuzz.test_properties import EVENT, EVERY_SOURCE
from tests.protocol.cloudformation import AnswerAddress, answer_address, check
from tests.support.clock import SteppingClock
from tests.support.control_plane import ControlPlane, control_plane

NAME = "acme/agent"
PARAMETER = "/cdk-ecrpublic/acme/agent/Stack.Release"
A_DEFECT = "INTERNAL"


@dataclass(frozen=True)
class Context:
    aws_request_id: str = "lambda-request"

    def get_remaining_time_in_millis(self) -> int:
        return 600_000


@dataclass
class World:
    """The function, warm, and everything around it."""

    sandbox: Sandbox
    address: AnswerAddress
    plane: ControlPlane
    clients: Clients = field(default_factory=Clients)

    def send(self, event: Mapping[str, Any]) -> tuple[ImageError | None, list[bytes]]:
        """Deliver an event; return what the function raised, and all answers."""
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
        push_image(running_sandbox, NAME, build_image({"a": b"1"}, platforms=("linux/amd64", "linux/arm64")), ["build"])
        yield World(running_sandbox, address, plane)


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
def test_any_properties_get_one_answer_that_cloudformation_takes(world: World, event: dict[str, Any]) -> None:
    event["ResponseURL"] = f"{world.address.url}/answer?signature"

    error, answers = world.send(event)

    assert error is None
    (body,) = answers
    answer = check(event, body)
    assert not answer.reason.startswith(A_DEFECT)
    assert answer.succeeded or event["RequestType"] == "Create" or answer.physical_id == event["PhysicalResourceId"]


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(changed(EVENTS) | changed(st.just(EVENT), TEXTS) | OBJECTS, st.sampled_from(["kept", "kept", "changed"]))
def test_any_event_gets_one_answer_or_is_none_of_cloudformation(world: World, event: dict[str, Any], url: str) -> None:
    if url == "kept":
        event["ResponseURL"] = f"{world.address.url}/answer?signature"

    error, answers = world.send(event)

    if error is None:
        (body,) = answers
        assert not check(event, body).reason.startswith(A_DEFECT)
    else:
        assert isinstance(error, ProtocolError if url == "kept" else ProtocolError | DeliveryError)
        assert answers == []


@settings(max_examples=100)
@given(JSON, st.text(max_size=3))
def test_what_was_remembered_breaks_nothing(world: World, state: object, noise: str) -> None:
    """The parameter is the stack's own, but who may write parameters may write anything into it."""
    world.plane.parameters = {PARAMETER: json.dumps(state) + noise, f"{PARAMETER}2": json.dumps(state)}
    properties = declaration({"Tag": "build"}, ["1.4"], removes=True)
    url = f"{world.address.url}/answer?signature"
    event = {**EVENT, "ResponseURL": url, "ResourceProperties": properties, "OldResourceProperties": properties}

    error, answers = world.send(event)

    assert error is None
    assert check(event, answers[0]).succeeded

"""Invalid input: each kind has a clear message, and nothing is written."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cdk_ecrpublic.sandbox import Fault
from lambda_handler.clock import SystemClock
from lambda_handler.entrypoint import RESPONSE_RESERVE_SECONDS, Clients, serve

from .cloudformation import CloudFormation
from .conftest import Context, Registry, declare

NOWHERE = "sha256:" + "0" * 64
INDEX = "application/vnd.oci.image.index.v1+json"
OCI = "application/vnd.oci.image.manifest.v1+json"


def manifest(body: str, **more: str) -> dict[str, Any]:
    return {"RepositoryName": "acme/agent", "ImageTags": ["1"], "Source": {"Manifest": {"Body": body, **more}}}


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        (declare(NOWHERE, "1"), f"NOT_FOUND: the image {NOWHERE} does not exist in repository 'acme/agent'"),
        (
            {"RepositoryName": "acme/agent", "ImageTags": ["1"], "Source": {"Tag": "build-99"}},
            "NOT_FOUND: the source tag 'build-99' does not exist in repository 'acme/agent'",
        ),
        (
            {"RepositoryName": "acme/missing", "Source": {"Tag": "1"}},
            "ecr-public:DescribeRepositories failed: RepositoryNotFoundException",
        ),
        (manifest("not JSON"), "Source.Manifest.Body: the manifest is not valid JSON"),
        (manifest("[]"), "Source.Manifest.Body: the manifest is a JSON list; expected an object"),
        (
            manifest('{"schemaVersion": 2, "manifests": []}'),
            "the manifest has no mediaType, and none was given with it; give its media type",
        ),
        (
            manifest('{"schemaVersion": 2, "manifests": []}', MediaType="text/plain"),
            "'text/plain' is not the media type of a manifest that ECR Public stores",
        ),
        (
            manifest(f'{{"schemaVersion": 2, "mediaType": "{INDEX}", "manifests": []}}', MediaType=OCI),
            "was given with it",
        ),
        (
            {**manifest('{"schemaVersion": 2, "manifests": []}', MediaType=INDEX), "ImageDigest": NOWHERE},
            f"but ImageDigest declares {NOWHERE}",
        ),
        (declare(NOWHERE, "-1"), "INVALID_PROPERTIES: ImageTags[0]: '-1' is not a tag"),
        (declare("sha256:ABC", "1"), "Source.Digest: 'sha256:ABC' is not a digest"),
        (declare(NOWHERE, "1", "1"), "ImageTags: has duplicate tags: 1"),
        (declare(NOWHERE, "1", Tag="1"), "'Tag': is not a property of Custom::ECRPublicImage; known: RegistryId"),
        (declare(NOWHERE, "1", RegistryId="ACME!"), "RegistryId: 'ACME!' is not a registry"),
        (declare(NOWHERE, "1", OnDelete="Remove"), "OnDelete: is 'Remove'; allowed: Keep, Delete"),
        (declare(NOWHERE, "1", OnTagRemoved="Remove"), "OnTagRemoved: is 'Remove'; allowed: Keep, Untag"),
        (declare(NOWHERE, "1", StateParameterName="state"), "StateParameterName: 'state' is not a param"),
        (declare(NOWHERE, "1", IncludeReferrers="yes"), "IncludeReferrers: is 'yes'; allowed: true, false"),
        (declare(NOWHERE, "1", ImmutableTags=["[0-9]"]), "ImmutableTags[0]: '[0-9]' is not a tag or a tag pattern"),
        (
            {"RepositoryName": "acme/agent", "Source": {"Archive": {"Bucket": "b"}}},
            "Source.Archive: Key is missing",
        ),
        ({"RepositoryName": "acme/agent"}, "Source: is required, but missing"),
        ({"Source": {"Digest": NOWHERE, "Tag": "1"}}, "RepositoryName: is required, but missing"),
        (
            {"RepositoryName": "acme/agent", "Source": {"Digest": NOWHERE, "Tag": "1"}},
            "Source: has 2 keys; expected exactly one of Digest, Tag, Manifest",
        ),
    ],
)
def test_refuses_invalid_input_with_a_clear_message(
    cloudformation: CloudFormation, registry: Registry, properties: dict[str, Any], said: str
) -> None:
    answer = cloudformation.create(properties)

    assert not answer.succeeded
    assert said in answer.reason
    assert registry.sandbox.requests.count("PutImage") == 0
    assert registry.tags() == {}


def test_reports_all_problems_together(cloudformation: CloudFormation) -> None:
    answer = cloudformation.create({"RepositoryName": "Acme", "ImageTags": ["ok", "not ok"], "Source": {"Tag": "-"}})

    for path in ("RepositoryName", "ImageTags[1]", "Source.Tag"):
        assert f"{path}: " in answer.reason


def test_continues_anonymously_after_a_denied_read(cloudformation: CloudFormation, registry: Registry) -> None:
    """Public images need no credentials: the role may not log in, and the release succeeds."""
    image = registry.push("first")
    registry.sandbox.faults.add(Fault(operation="GetAuthorizationToken", code="AccessDeniedException", times=None))

    assert cloudformation.create(declare(image, "1")).succeeded


def test_reports_a_read_that_is_always_denied(cloudformation: CloudFormation, registry: Registry) -> None:
    image = registry.push("first")
    registry.sandbox.faults.add(Fault(operation="GetManifest", status=403, times=None))

    answer = cloudformation.create(declare(image, "1"))

    host = registry.sandbox.registry_host
    assert answer.reason.startswith(f"ACCESS_DENIED: GET manifest failed: registry {host} returned 403. Hint: ")
    assert registry.tags() == {}


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("DescribeRepositories", "ecr-public:DescribeRepositories"),
        ("DescribeImages", "ecr-public:DescribeImages"),
        ("PutImage", "ecr-public:PutImage"),
    ],
)
def test_a_denied_call_names_the_action_to_allow(
    cloudformation: CloudFormation, registry: Registry, operation: str, action: str
) -> None:
    image = registry.push("first")
    registry.sandbox.faults.add(Fault(operation=operation, code="AccessDeniedException", times=None, face="api"))

    answer = cloudformation.create(declare(image, "1"))

    assert answer.reason.startswith(f"ACCESS_DENIED: {action} failed: AccessDeniedException")
    assert f"Hint: allow {action} in the role of the handler function" in answer.reason


def test_waits_for_a_permission_that_takes_effect_late(cloudformation: CloudFormation, registry: Registry) -> None:
    image = registry.push("first")
    registry.sandbox.faults.add(Fault(operation="PutImage", code="AccessDeniedException", times=5))

    assert cloudformation.create(declare(image, "1")).succeeded


def test_an_unreachable_registry_gets_a_failed_response(cloudformation: CloudFormation, registry: Registry) -> None:
    image = registry.push("first")
    registry.sandbox.faults.add(Fault(operation="GetManifest", drop="before", times=None))

    answer = cloudformation.create(declare(image, "1"))

    assert answer.reason.startswith(f"UNAVAILABLE: GET manifest from {registry.sandbox.registry_host} failed")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(operation="GetManifest", status=429, times=2),
        Fault(operation="GetManifest", status=503, times=2),
        Fault(operation="GetManifest", truncate_bytes=20, times=2),
        Fault(operation="GetManifest", status=404, times=3),
        Fault(operation="GetManifest", status=403, times=1),
        Fault(operation="GetManifest", status=400, times=1),
        Fault(operation="Token", status=400, times=1),
        Fault(operation="PutImage", code="ThrottlingException", times=2),
        Fault(operation="PutImage", drop="after", times=1),
        Fault(operation="DescribeImages", drop="before", times=1),
    ],
    ids=str,
)
def test_a_transient_fault_is_retried(cloudformation: CloudFormation, registry: Registry, fault: Fault) -> None:
    image = registry.push("first")
    registry.sandbox.faults.add(fault)

    assert cloudformation.create(declare(image, "1")).succeeded

    registry.sandbox.faults.clear()
    assert registry.tags() == {"1": image.digest}


@pytest.mark.parametrize("text", ["ü" * 3000, "x" * 100_000, '"\\' * 5000])
def test_the_response_fits_with_a_reason_of_any_length(cloudformation: CloudFormation, text: str) -> None:
    answer = cloudformation.create({"RepositoryName": "acme/agent", "Source": {"Tag": "1"}, text: "unknown"})

    assert answer.reason.startswith("INVALID_PROPERTIES: ")


def test_responds_before_the_time_is_over(cloudformation: CloudFormation, registry: Registry) -> None:
    cloudformation.remaining_seconds = 10

    answer = cloudformation.create(declare(registry.push("first"), "1"))

    assert answer.reason.startswith("DEADLINE: ran out of time")
    assert registry.tags() == {}


def test_obeys_a_service_timeout_shorter_than_the_time_of_the_function(
    cloudformation: CloudFormation, registry: Registry
) -> None:
    answer = cloudformation.create(declare(registry.push("first"), "1", ServiceTimeout=15))

    assert answer.reason.startswith("DEADLINE: ")


@pytest.mark.parametrize("service_timeout", [1, 5])
def test_always_tries_to_respond_even_with_little_time(
    cloudformation: CloudFormation, registry: Registry, service_timeout: int
) -> None:
    answer = cloudformation.create(declare(registry.push("first"), "1", ServiceTimeout=service_timeout))

    assert answer.reason.startswith("DEADLINE: ")
    assert registry.tags() == {}


def test_a_hanging_call_does_not_delay_the_response(cloudformation: CloudFormation, registry: Registry) -> None:
    """This uses the real clock: 1.5 s are left for the work, and the registry takes 20 s."""
    image = registry.push("first")
    registry.sandbox.faults.add(Fault(operation="GetManifest", delay_seconds=20, times=None))
    cloudformation.clock = None
    event = cloudformation.event("Create", declare(image, "1"))
    began = time.monotonic()

    serve(event, Context(RESPONSE_RESERVE_SECONDS + 1.5), Clients(), SystemClock())

    answer = cloudformation.answer_to(event)
    assert answer.reason.startswith(("DEADLINE: ", "UNAVAILABLE: "))
    assert time.monotonic() - began < RESPONSE_RESERVE_SECONDS
    assert registry.tags() == {}


def test_no_secret_is_in_the_response(
    cloudformation: CloudFormation, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    image = registry.push("first")
    answers = [cloudformation.create(declare(image, "1")), cloudformation.create(declare(NOWHERE, "2"))]
    registry.sandbox.faults.add(Fault(operation="GetManifest", status=500, times=None))
    answers.append(cloudformation.create(declare(image, "3")))

    told = capsys.readouterr().out + repr(answers)

    assert "5ecret51gnature" not in told
    assert cloudformation.address.url not in told
    assert "Bearer" not in told
    assert "Basic" not in told
    logins = registry.sandbox.client("ecr-public").get_authorization_token()["authorizationData"]
    assert logins["authorizationToken"][:40] not in told

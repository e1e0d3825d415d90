"""Responses of AWS that lack fields cause a typed error, for every operation."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_handler.aws.objects import S3Objects
from lambda_handler.aws.parameters import Parameters
from lambda_handler.aws.scans import ImageScans
from lambda_handler.aws.stack import StackHistory
from lambda_handler.clock import Deadline
from lambda_handler.ecr_public import EcrPublicRepository, find_repository
from lambda_handler.entrypoint import Clients
from lambda_handler.errors import ImageError
from lambda_handler.log import Log
from lambda_handler.oci import Descriptor, Digest, Manifest, PrivateEcr, Repository
from lambda_handler.registry import RegistryClient
from lambda_handler.retry import SHORTEST_WAIT_SECONDS, Attempts, Retry
from tests.fuzz.hostile import JSON, changed, damaged, outcome, written
from tests.fuzz.server import Server, http, serve
from tests.fuzz.test_manifests import IMAGE
from tests.support.clock import SteppingClock

DIGEST = Digest.of(b"layer")
BLOB = Descriptor(media_type="application/x", digest=DIGEST, size=5)
MANIFEST = Manifest.parse(json.dumps(IMAGE).encode())
REPOSITORY = Repository.parse("public.ecr.aws/alias/acme/agent")
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:x-1"
TOKEN = base64.b64encode(b"AWS:pass").decode()


class Once(Retry):
    """A retry policy that fails immediately, because retries are tested elsewhere."""

    def start(self, doing: str, *, retry_access_denied: bool = False) -> Attempts:
        no_time = Deadline.after(SHORTEST_WAIT_SECONDS, self.deadline.clock)
        return replace(super().start(doing, retry_access_denied=retry_access_denied), deadline=no_time, most=1)


ONCE = Once(Deadline.after(600, SteppingClock()), Log())


STACKS = """<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>Agent</StackName>
<CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>UPDATE_IN_PROGRESS</StackStatus></member></Stacks>
</DescribeStacksResult></DescribeStacksResponse>"""

EVENTS = """<DescribeStackEventsResponse><DescribeStackEventsResult><StackEvents><member><StackId>Agent</StackId>
<EventId>1</EventId><StackName>Agent</StackName><LogicalResourceId>Agent</LogicalResourceId>
<PhysicalResourceId>Agent</PhysicalResourceId><ResourceType>AWS::CloudFormation::Stack</ResourceType>
<Timestamp>2026-01-01T00:00:00Z</Timestamp><ResourceStatus>UPDATE_COMPLETE</ResourceStatus></member></StackEvents>
</DescribeStackEventsResult></DescribeStackEventsResponse>"""

RESOURCE = """<DescribeStackResourceResponse><DescribeStackResourceResult><StackResourceDetail><StackId>Agent</StackId>
<LogicalResourceId>Release</LogicalResourceId><ResourceType>Custom::ECRPublicImage</ResourceType>
<LastUpdatedTimestamp>2026-01-01T00:00:00Z</LastUpdatedTimestamp><ResourceStatus>UPDATE_IN_PROGRESS</ResourceStatus>
</StackResourceDetail></DescribeStackResourceResult></DescribeStackResourceResponse>"""


@dataclass(frozen=True)
class Operation:
    """
    An operation that the handler calls.

    Attributes:
        answer: The response of AWS: JSON, or any other text.
        call: Calls the operation as the handler does.
    """

    answer: dict[str, Any] | str
    call: Callable[[Clients], object]

    @property
    def body(self) -> bytes:
        return (self.answer if isinstance(self.answer, str) else json.dumps(self.answer)).encode()

    @property
    def other_bodies(self) -> st.SearchStrategy[bytes]:
        other = written(JSON) | damaged(st.just(self.body)) | st.binary(max_size=40) | st.just(b"[" * 100_000)
        return other if isinstance(self.answer, str) else other | written(changed(st.just(self.answer)))


def repository(clients: Clients) -> EcrPublicRepository:
    client = clients.get("ecr-public", "us-east-1")
    registry: Any = RegistryClient
    return EcrPublicRepository(
        client=client,
        registry_id="123456789012",
        name="acme/agent",
        repository=REPOSITORY,
        registry=registry,
        retry=ONCE,
    )


def history(clients: Clients) -> StackHistory:
    """Return the history of a stack that is already known not to be nested."""
    known: dict[str, Mapping[str, Any]] = {"Agent": {"StackStatus": "UPDATE_IN_PROGRESS", "RootId": None}}
    return StackHistory(clients.get("cloudformation"), "Agent", ONCE, known)


def opened(clients: Clients, registry_id: str | None) -> object:
    return find_repository(clients.get("ecr-public", "us-east-1"), registry_id, "acme/agent", ONCE)


def private_ecr(clients: Clients) -> object:
    host = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
    return clients.logins.for_registry(Repository.parse(f"{host}/a"), "").auth.password()


IMAGE_DETAILS = {"imageDetails": [{"imageDigest": str(DIGEST), "imageTags": ["1"], "imagePushedAt": 1.0}]}
REMOVED = {
    "imageIds": [{"imageDigest": str(DIGEST), "imageTag": "1"}],
    "failures": [
        {"imageId": {"imageDigest": str(DIGEST), "imageTag": "2"}, "failureCode": "ImageReferencedByManifestList"}
    ],
}
OPERATIONS = {
    "DescribeRegistries": Operation(
        {
            "registries": [
                {
                    "registryId": "123456789012",
                    "registryUri": "public.ecr.aws/x",
                    "aliases": [{"name": "x", "status": "ACTIVE"}],
                }
            ]
        },
        lambda clients: opened(clients, "other"),
    ),
    "DescribeRepositories": Operation(
        {"repositories": [{"registryId": "123456789012", "repositoryUri": "public.ecr.aws/x/acme/agent"}]},
        lambda clients: opened(clients, None),
    ),
    "DescribeImages of tags": Operation(IMAGE_DETAILS, lambda clients: repository(clients).resolve(["1", "2"])),
    "DescribeImages of digests": Operation(IMAGE_DETAILS, lambda clients: repository(clients).tags_of([DIGEST])),
    "DescribeImages": Operation(IMAGE_DETAILS, lambda clients: repository(clients).missing_images([DIGEST])),
    "BatchCheckLayerAvailability": Operation(
        {"layers": [{"layerDigest": str(DIGEST), "layerAvailability": "AVAILABLE", "layerSize": 9}], "failures": []},
        lambda clients: repository(clients).blob_sizes([DIGEST]),
    ),
    "PutImage": Operation(
        {"image": {"imageId": {"imageDigest": str(MANIFEST.digest), "imageTag": "1"}}},
        lambda clients: repository(clients).put(MANIFEST, "1"),
    ),
    "BatchDeleteImage of images": Operation(REMOVED, lambda clients: repository(clients).remove_images([DIGEST])),
    "BatchDeleteImage of tags": Operation(REMOVED, lambda clients: repository(clients).remove_tags(DIGEST, ["1", "2"])),
    "ecr-public GetAuthorizationToken": Operation(
        {"authorizationData": {"authorizationToken": TOKEN, "expiresAt": 1.0}},
        lambda clients: clients.logins._ecr_public_password(),  # noqa: SLF001 - what a token is asked for with
    ),
    "ecr GetAuthorizationToken": Operation(
        {"authorizationData": [{"authorizationToken": TOKEN, "proxyEndpoint": "https://example.com", "expiresAt": 1}]},
        private_ecr,
    ),
    "DescribeImageScanFindings": Operation(
        {
            "imageScanStatus": {"status": "ACTIVE"},
            "imageScanFindings": {
                "imageScanCompletedAt": 1.0,
                "findingSeverityCounts": {"HIGH": 1},
                "findings": [{"name": "CVE-1", "severity": "LOW", "attributes": [{"key": "package_name"}]}],
                "enhancedFindings": [{"severity": "HIGH", "title": "CVE-2", "fixAvailable": "NO"}],
            },
        },
        lambda clients: ImageScans(lambda region: clients.get("ecr", region), ONCE).scan(
            PrivateEcr("123456789012", "us-east-1"), "acme/agent", DIGEST
        ),
    ),
    "GetSecretValue": Operation(
        {"SecretString": '{"username": "me", "password": "pass"}'},
        lambda clients: clients.logins.for_registry(Repository.parse("ghcr.io/a"), SECRET),
    ),
    "GetParameter": Operation(
        {"Parameter": {"Name": "/a", "Value": "text"}},
        lambda clients: Parameters(lambda: clients.get("ssm", "us-east-1"), ONCE).read("/a"),
    ),
    "GetParametersByPath": Operation(
        {"Parameters": [{"Name": "/a/b", "Value": "text"}]},
        lambda clients: Parameters(lambda: clients.get("ssm", "us-east-1"), ONCE).list("/a"),
    ),
    "DescribeStacks": Operation(
        STACKS, lambda clients: StackHistory(clients.get("cloudformation"), "Agent", ONCE).is_rolling_back
    ),
    "DescribeStackEvents": Operation(EVENTS, lambda clients: history(clients)._succeeded_since(1.0)),  # noqa: SLF001 - the caller takes an error for "not known"
    "DescribeStackResource": Operation(
        RESOURCE, lambda clients: history(clients).has_changed_since("Release", 1.0, is_deletion=False)
    ),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve() as running:
        yield running


@pytest.fixture(scope="module")
def clients(server: Server) -> Iterator[Clients]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "AKIA",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{server.host}",
        }.items():
            patch.setenv(name, value)
        yield Clients()


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_expected_response_is_not_an_error(server: Server, clients: Clients, name: str) -> None:
    server.answer = lambda _: http(200, OPERATIONS[name].body)
    clients.logins.cached.clear()

    assert not isinstance(outcome(partial(OPERATIONS[name].call, clients)), ImageError)


@pytest.mark.parametrize("status", ["PENDING", "REJECTED"])
def test_an_alias_in_another_state_is_not_ours(server: Server, clients: Clients, status: str) -> None:
    alias = {"name": "other", "status": status}
    registry = {"registryId": "123456789012", "registryUri": "public.ecr.aws/x", "aliases": [alias]}
    server.answer = lambda _: http(200, json.dumps({"registries": [registry]}).encode())

    location = find_repository(clients.get("ecr-public", "us-east-1"), "other", "acme/agent", ONCE)

    assert (location.registry_id, location.is_own) == ("other", False)


@pytest.mark.parametrize("time", [1e300, 67_768_036_191_676_800, -1e18, "later", []])
def test_an_impossible_time_is_a_typed_error(server: Server, clients: Clients, time: object) -> None:
    answer = {"authorizationData": {"authorizationToken": TOKEN, "expiresAt": time}}
    server.answer = lambda _: http(200, json.dumps(answer).encode())

    assert isinstance(outcome(partial(OPERATIONS["ecr-public GetAuthorizationToken"].call, clients)), ImageError)


@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=40)
@given(data=st.data(), status=st.sampled_from([200, 200, 200, 400, 500]))
def test_any_other_response_is_a_typed_error(
    server: Server, clients: Clients, name: str, data: st.DataObject, status: int
) -> None:
    body = data.draw(OPERATIONS[name].other_bodies)
    server.answer = lambda _: http(status, body)
    clients.logins.cached.clear()

    outcome(partial(OPERATIONS[name].call, clients))


RANGES = st.sampled_from(
    [f"bytes 0-{rest}" for rest in ("0/5", "0/0", "0/*", "0/-1", "4", "0/\u0665", "0/" + "9" * 5000)]
)
ETAGS = st.sampled_from(['"a"', "", "\x00", "é"])
HEADERS = st.fixed_dictionaries({}, optional={"Content-Range": RANGES, "ETag": ETAGS})
STATUSES = st.sampled_from([200, 206, 206, 206, 304, 404, 412, 416, 503])


@settings(max_examples=100)
@given(status=STATUSES, headers=HEADERS, body=st.binary(max_size=20))
def test_any_response_of_s3_gives_bytes_or_a_typed_error(
    server: Server, clients: Clients, status: int, headers: dict[str, str], body: bytes
) -> None:
    server.answer = lambda _: http(status, body, *headers.items())
    objects = S3Objects(lambda: clients.get("s3"), ONCE)

    read = outcome(lambda: objects.read("bucket", "key", 10))
    opened = outcome(lambda: b"".join(objects.open("bucket", "key").read(0, 5)))

    assert isinstance(read, ImageError) or read == body
    assert isinstance(opened, ImageError) or opened in {b"", body}

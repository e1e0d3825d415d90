"""What a warm function caches, and when it reads again."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from cdk_ecrpublic.sandbox import Settings
from cdk_ecrpublic.sandbox.images import Image, build_image
from tests.protocol.cloudformation import CloudFormation
from tests.protocol.conftest import Registry, declare
from tests.support.web_server import WebServer, send, web_server

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:upstream-a1b2c3"
IMAGE = build_image({"etc/text": b"upstream"})


def test_looks_up_the_location_of_a_repository_once(cloudformation: CloudFormation, registry: Registry) -> None:
    image = registry.push("first")
    registry.sandbox.requests.clear()

    for tag in ("1", "2", "3"):
        assert cloudformation.create(declare(image, tag)).succeeded

    assert registry.sandbox.requests.count("DescribeRepositories") == 1
    assert registry.sandbox.requests.count("Token", "GetAuthorizationToken") == 2


def test_a_recreated_repository_has_the_same_location(cloudformation: CloudFormation, registry: Registry) -> None:
    client = registry.sandbox.client("ecr-public")
    assert cloudformation.create(declare(registry.push("first"), "1")).succeeded
    client.delete_repository(repositoryName="acme/agent", force=True)

    gone = cloudformation.create(declare("sha256:" + "0" * 64, "1"))
    client.create_repository(repositoryName="acme/agent")
    image = registry.push("second")
    created_again = cloudformation.create(declare(image, "1"))

    assert gone.reason.startswith(("NOT_FOUND", "REPOSITORY_NOT_FOUND"))
    assert created_again.succeeded
    assert registry.tags() == {"1": image.digest}


def test_notices_a_new_alias_at_the_next_deployment(cloudformation: CloudFormation, registry: Registry) -> None:
    image = registry.push("first")
    declared = {"RegistryId": "acme", **declare(image, "1")}
    assert not cloudformation.create(declared).succeeded

    registry.sandbox.settings = Settings(alias="acme")
    answer = cloudformation.create(declared)

    assert answer.physical_id == "ecr-public:123456789012/acme/agent:Release"
    assert registry.tags() == {"1": image.digest}


def test_looks_up_the_location_again_after_a_failure(cloudformation: CloudFormation, registry: Registry) -> None:
    image = registry.push("first")
    assert cloudformation.create(declare(image, "1")).succeeded
    registry.sandbox.requests.clear()

    assert not cloudformation.create(declare("sha256:" + "0" * 64, "1")).succeeded
    assert cloudformation.create(declare(image, "2")).succeeded

    assert registry.sandbox.requests.count("DescribeRepositories") == 1


class Upstream:
    """A registry that requires a token, and the secret with its credentials; both can be changed."""

    def __init__(self, server: WebServer) -> None:
        self.server, self.password, self.kept = server, "old", "old"
        self.by_token = True
        server.answer = self.answer

    def reference(self, image: Image = IMAGE) -> str:
        return f"{self.server.host}/team/app@{image.digest}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        authorization = request.headers.get("Authorization")
        basic = "Basic " + base64.b64encode(f"me:{self.password}".encode()).decode()
        if request.path.startswith("/token"):
            given = f"of {self.password}" if authorization == basic else "anonymous"
            status = 401 if authorization not in {None, basic} else 200
            send(request, status, json.dumps({"token": given}).encode(), "application/json")
        elif authorization in {f"Bearer of {self.password}", f"Bearer {self.password}"}:
            self._serve(request)
        else:
            send(request, 401, WWW_Authenticate=f'Bearer realm="{self.server.url}/token"')

    @staticmethod
    def _serve(request: BaseHTTPRequestHandler) -> None:
        contents = {IMAGE.digest: IMAGE.manifest, **IMAGE.blobs}
        digest = request.path.rpartition("/")[2]
        kind = IMAGE.media_type if "/manifests/" in request.path else "application/octet-stream"
        send(request, 200, contents[digest], kind)

    def tell_secret(self, request: BaseHTTPRequestHandler) -> None:
        request.rfile.read(int(request.headers["Content-Length"]))
        value = {"username": "me", "password": self.kept} if self.by_token else {"token": self.kept}
        send(request, 200, json.dumps({"SecretString": json.dumps(value)}).encode(), "application/x-amz-json-1.1")


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    with web_server() as registry, web_server() as secrets:
        upstream = Upstream(registry)
        secrets.answer = upstream.tell_secret
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.url)
        yield upstream


@pytest.mark.parametrize("by_token", [True, False])
def test_uses_a_corrected_secret_immediately(
    upstream: Upstream,
    cloudformation: CloudFormation,
    by_token: bool,  # noqa: FBT001 - a table
) -> None:
    source = {"Image": {"Reference": upstream.reference(), "CredentialsSecretArn": SECRET}}
    declared = {"RepositoryName": "acme/agent", "ImageTags": ["1"], "Source": source}
    upstream.by_token, upstream.kept = by_token, "wrong"

    failed = cloudformation.create(declared)
    upstream.kept = "old"
    corrected = cloudformation.create(declared)

    assert failed.reason.startswith("ACCESS_DENIED")
    assert "wrong" not in failed.reason
    assert corrected.succeeded, corrected.reason


@pytest.mark.parametrize("by_token", [True, False])
def test_uses_a_changed_password_immediately(
    upstream: Upstream,
    registry: Registry,
    cloudformation: CloudFormation,
    by_token: bool,  # noqa: FBT001 - a table
) -> None:
    source = {"Image": {"Reference": upstream.reference(), "CredentialsSecretArn": SECRET}}
    upstream.by_token = by_token
    assert cloudformation.create({"RepositoryName": "acme/agent", "ImageTags": ["1"], "Source": source}).succeeded
    client = registry.sandbox.client("ecr-public")
    client.delete_repository(repositoryName="acme/agent", force=True)
    client.create_repository(repositoryName="acme/agent")

    upstream.password = upstream.kept = "new"

    again = cloudformation.create({"RepositoryName": "acme/agent", "ImageTags": ["2"], "Source": source})
    assert again.succeeded, again.reason


def test_does_not_cache_anonymous_tokens_after_a_failure(upstream: Upstream, cloudformation: CloudFormation) -> None:
    """A registry may make an image public after it refused access."""
    source = {"Image": {"Reference": upstream.reference()}}
    declared = {"RepositoryName": "acme/agent", "ImageTags": ["1"], "Source": source}
    assert not cloudformation.create(declared).succeeded

    upstream.server.answer = Upstream._serve  # noqa: SLF001 - without authentication
    opened = cloudformation.create(declared)

    assert opened.succeeded, opened.reason
    assert upstream.server.authorizations[-1] is None

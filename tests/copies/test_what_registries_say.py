"""Errors contain the message of the registry, and name the host that responded, the manifest and the blob."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler

import pytest

from cdk_ecrpublic.sandbox.images import build_image
from lambda_handler.errors import ImageError
from tests.support.archives import layout_of, saved, tar_of
from tests.support.s3 import Bucket
from tests.support.upstream import UpstreamRegistry, upstream_registry
from tests.support.web_server import send, web_server

from .conftest import Publisher

IMAGE = build_image({"etc/text": b"an image"}, platforms=("linux/amd64", "linux/arm64"))
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:registry-AbCdEf"
Request = BaseHTTPRequestHandler


@pytest.fixture
def upstream(publisher: Publisher) -> Iterator[UpstreamRegistry]:
    publisher.seconds = 30
    with upstream_registry() as registry:
        registry.push(IMAGE, "1")
        yield registry


def error(publisher: Publisher, source: Mapping[str, object], **properties: object) -> str:
    with pytest.raises(ImageError) as found:
        publisher.publish(source, "1", **properties)
    return found.value.explain()


def source(upstream: UpstreamRegistry, **more: str) -> Mapping[str, object]:
    return {"Image": {"Reference": f"{upstream.host}/team/app:1", **more}}


def answering(path: str, answer: Callable[[Request], object]) -> Callable[[Request], bool]:
    """Return a behavior that responds to requests with *path* in their path."""

    def behave(request: Request) -> bool:
        if path not in request.path:
            return False
        answer(request)
        return True

    return behave


@pytest.mark.parametrize("path", ["/manifests/", "/blobs/"])
@pytest.mark.parametrize(
    ("status", "said"),
    [
        (412, "current image without vulnerability scanning cannot be pulled due to configured policy"),
        (403, "artifact download was blocked by Xray policy"),
        (429, "You have reached your unauthenticated pull rate limit"),
        (402, "subscription expired"),
        (451, "not available in your country"),
    ],
)
def test_the_error_has_the_message_of_a_registry(
    publisher: Publisher,
    upstream: UpstreamRegistry,
    path: str,
    status: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": said}]}).encode()
    upstream.behaviour = answering(path, lambda request: send(request, status, body, "application/json"))

    told = error(publisher, source(upstream))

    # A throttled read is repeated until the deadline, which may end the last one within its response.
    assert f"returned {status}: {said}" in told + (capsys.readouterr().out if status == 429 else "")


@pytest.mark.parametrize(
    "body",
    [
        {"details": "incorrect username or password"},
        {"error": "invalid_grant", "error_description": "incorrect username or password"},
        {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]},
    ],
)
def test_the_error_has_the_message_of_a_token_endpoint(
    publisher: Publisher, upstream: UpstreamRegistry, body: Mapping[str, object]
) -> None:
    def behave(request: Request) -> bool:
        challenge = f'Bearer realm="{upstream.url}/token",service="x"'
        content = json.dumps(body).encode()
        send(request, 401, content, "application/json", WWW_Authenticate=challenge)
        return True

    upstream.behaviour = behave

    assert "returned 401: incorrect username or password" in error(publisher, source(upstream))


def test_the_error_names_a_refused_secret_before_an_anonymous_404(
    publisher: Publisher, upstream: UpstreamRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = {"SecretString": '{"username": "me", "password": "expired-password"}'}

    def secrets(request: Request) -> None:
        request.rfile.read(int(request.headers["Content-Length"]))
        send(request, 200, json.dumps(secret).encode(), "application/x-amz-json-1.1")

    def behave(request: Request) -> bool:
        has_login = request.headers.get("Authorization")
        if request.path.startswith("/token"):
            said = b'{"details": "no user me with expired-password"}' if has_login else b'{"token": "anonymous"}'
            send(request, 401 if has_login else 200, said, "application/json")
        elif has_login:
            send(request, 404)
        else:
            send(request, 401, WWW_Authenticate=f'Bearer realm="{upstream.url}/token",service="x"')
        return True

    upstream.behaviour = behave
    with web_server() as server:
        server.answer = secrets
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", server.url)

        told = error(publisher, source(upstream, CredentialsSecretArn=ARN))

    assert "check the credentials in the secret" in told
    assert "expired-password" not in told


@pytest.mark.parametrize("path", ["/manifests/", "/blobs/"])
@pytest.mark.parametrize("status", [404, 429, 412, 403])
def test_the_error_names_the_host_that_a_redirect_led_to(
    publisher: Publisher, upstream: UpstreamRegistry, path: str, status: int
) -> None:
    with web_server() as other:
        other.answer = lambda request: send(request, status)
        upstream.behaviour = answering(path, lambda request: send(request, 307, Location=other.url + request.path))

        told = error(publisher, source(upstream))

    assert f"{other.host}, to which registry {upstream.host} redirects, returned {status}" in told


def test_the_error_for_a_missing_blob_names_its_manifest(publisher: Publisher, upstream: UpstreamRegistry) -> None:
    child = IMAGE.children[1]
    config = json.loads(child.manifest)["config"]["digest"]
    upstream.behaviour = answering(config, lambda request: send(request, 404))

    assert f"a blob of {child.digest}" in error(publisher, source(upstream))


def test_the_error_for_a_corrupt_blob_names_its_repository(publisher: Publisher, upstream: UpstreamRegistry) -> None:
    def corrupt(request: Request) -> None:
        send(request, 200, b"x" * len(upstream.blobs[request.path.rpartition("/")[2]]))

    upstream.behaviour = answering("/blobs/", corrupt)

    assert f"in {upstream.host}/team/app" in error(publisher, source(upstream))


@pytest.mark.parametrize("status", [400, 403, 500])
def test_the_error_names_the_tag_of_an_unreadable_signature(
    publisher: Publisher, upstream: UpstreamRegistry, status: int
) -> None:
    upstream.behaviour = answering("/manifests/sha256-", lambda request: send(request, status))

    assert f"{upstream.host}/team/app:sha256-" in error(publisher, source(upstream), IncludeReferrers="true")


def test_the_error_for_a_corrupt_layer_names_the_archive(publisher: Publisher, bucket: Bucket) -> None:
    files = saved(tar_of({"x": b"content" * 999}))
    (path,) = (name for name in files if name.endswith("layer.tar"))
    files[path] = files[path][:-100] + b"y" * 100

    assert "image.tar" in error(publisher, bucket.put("image.tar", tar_of(files)))


def test_the_error_for_a_corrupt_manifest_names_the_layout(publisher: Publisher, bucket: Bucket) -> None:
    image = build_image({"x": b"1"})
    files = layout_of((image, {}))
    path = f"blobs/sha256/{image.digest[7:]}"
    files[path] = image.manifest[:-1] + b" "

    assert f"{path} in s3://" in error(publisher, bucket.put("image.tar", tar_of(files)))


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ({"Link": '<https://other.example/v2/x?token=a-secret>; rel="next"'}, "a-secret"),
        ({"WWW_Authenticate": 'Bearer realm="http://auth.example.com/token?api_key=a-secret",service="x"'}, "a-secret"),
        ({"WWW_Authenticate": 'Bearer realm="http://me:a-secret@auth.example.com/token",service="x"'}, "a-secret"),
    ],
    ids=["next page", "query of a realm", "password in a realm"],
)
def test_no_error_shows_a_url_with_a_secret(
    publisher: Publisher,
    upstream: UpstreamRegistry,
    headers: Mapping[str, str],
    secret: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kind = "application/vnd.oci.image.index.v1+json"
    listed = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": []}).encode()
    path, status = ("/referrers/", 200) if "Link" in headers else ("/", 401)
    upstream.behaviour = answering(path, lambda request: send(request, status, listed, kind, **headers))

    told = error(publisher, source(upstream), IncludeReferrers="true") + capsys.readouterr().out

    assert "example" in told
    assert secret not in told


@pytest.mark.parametrize("path", ["/manifests/", "/blobs/"])
@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_a_message_that_repeats_credentials_is_not_shown(
    publisher: Publisher,
    upstream: UpstreamRegistry,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    path: str,
    scheme: str,
) -> None:
    secret = {"SecretString": '{"username": "me", "password": "s3cret-password"}'}
    token = "t0ken-" * 200

    def secrets(request: Request) -> None:
        request.rfile.read(int(request.headers["Content-Length"]))
        send(request, 200, json.dumps(secret).encode(), "application/x-amz-json-1.1")

    def behave(request: Request) -> bool:
        sent = request.headers.get("Authorization", "")
        if request.path.startswith("/token"):
            send(request, 200, json.dumps({"token": token}).encode(), "application/json")
        elif not sent:
            realm = f'Bearer realm="{upstream.url}/token"' if scheme == "Bearer" else 'Basic realm="x"'
            send(request, 401, WWW_Authenticate=realm)
        elif path in request.path:
            said = f"{'x' * 380} {sent} s3cret-password"
            send(request, 412, json.dumps({"errors": [{"message": said}]}).encode(), "application/json")
        else:
            return False
        return True

    upstream.behaviour = behave
    with web_server() as server:
        server.answer = secrets
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", server.url)

        told = error(publisher, source(upstream, CredentialsSecretArn=ARN)) + capsys.readouterr().out

    assert "returned 412" in told
    assert not any(part in told for part in ("s3cret", "t0ken", "bWU6czNj"))

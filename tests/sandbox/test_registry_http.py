"""The registry API: tokens, manifests and tags, as a container tool sees them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import urllib3

from cdk_ecrpublic._assets.lambda_handler.oci import Digest, ManifestMediaType
from cdk_ecrpublic.sandbox import Sandbox, Settings
from cdk_ecrpublic.sandbox.images import Image, build_image, push_image

from .conftest import REPOSITORY, Api, changed, make_api

INVALID = ("DENIED", "Your Authorization Token is invalid.")
NO_TOKEN = ""
PAGE_SIZE = "Invalid parameter at 'maxResults' failed to satisfy constraint:"
MISSING = "sha256:" + "0" * 64


@dataclass
class Http:
    """A plain client that does not retry or follow redirects; its token can be changed."""

    sandbox: Sandbox
    api: Api
    token: str = NO_TOKEN

    @property
    def repository(self) -> str:
        uri: str = self.api.describe_repositories(repositoryNames=[REPOSITORY])["repositories"][0]["repositoryUri"]
        return "/v2/" + uri.partition("/")[2]

    def send(self, method: str, path: str, body: bytes | None = None, /, **headers: str) -> urllib3.BaseHTTPResponse:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            given.setdefault("Authorization", f"Bearer {self.token}")
        url = path if path.startswith("http") else self.sandbox.url + path
        return urllib3.request(method, url, body=body, headers=given, redirect=False, retries=False)

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        return self.send("GET", f"{self.repository}/{path}", None, **headers)

    def put(self, reference: str, content: bytes, media_type: str = "") -> urllib3.BaseHTTPResponse:
        headers = {"Content_Type": media_type} if media_type else {}
        return self.send("PUT", f"{self.repository}/manifests/{reference}", content, **headers)

    def login(self, credentials: str | None = None) -> None:
        """Get a token with the API's password, with other credentials, or with none if they are empty."""
        if credentials is None:
            credentials = self.api.get_authorization_token()["authorizationData"]["authorizationToken"]
        headers = {"Authorization": f"Basic {credentials}"} if credentials else {}
        self.token = NO_TOKEN
        self.token = str(self.send("GET", "/token/", None, **headers).json()["token"])


def error(answer: urllib3.BaseHTTPResponse) -> tuple[str, str]:
    (found,) = answer.json()["errors"]
    return found["code"], found["message"]


@pytest.fixture
def http(sandbox: Sandbox, api: Api) -> Http:
    """A client without a token."""
    return Http(sandbox, api)


@pytest.fixture
def anonymous(http: Http) -> Http:
    """A client with an anonymous token."""
    http.login("")
    return http


@pytest.fixture
def pusher(http: Http) -> Http:
    """A client with a token that may push."""
    http.login()
    return http


@pytest.mark.parametrize("path", ["/v2/", "/v2/a/b/manifests/latest", "/v2/a/b/tags/list", "/v2/a/b/blobs/sha256:0"])
def test_challenges_a_request_without_a_token(http: Http, path: str) -> None:
    answer = http.send("GET", path)

    host = http.sandbox.registry_host
    assert (answer.status, error(answer)) == (401, ("DENIED", "Not Authorized"))
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="http://{host}/token/",service="{host}",scope="aws"'
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("query", ["", "?service=public.ecr.aws&scope=aws", "?scope=repository:a/b:pull"])
def test_gives_a_token_for_any_scope(http: Http, query: str) -> None:
    answer = http.send("GET", f"/token/{query}")

    assert (answer.status, [*answer.json()]) == (200, ["token"])


def test_redirects_a_request_without_the_trailing_slash(http: Http) -> None:
    answer = http.send("GET", "/token")

    assert (answer.status, answer.headers["Location"], answer.data) == (301, "/token/", b"")


def test_refuses_a_wrong_password(http: Http) -> None:
    wrong = base64.b64encode(b"AWS:wrong").decode()

    answer = http.send("GET", "/token/", Authorization=f"Basic {wrong}")

    assert (answer.status, error(answer)) == (400, INVALID)


def test_a_token_gives_access_to_the_registry(anonymous: Http) -> None:
    assert anonymous.send("GET", "/v2/").status == 200


@pytest.mark.parametrize("authorization", ["Bearer None", "Bearer ", "Bearer abc.def", "Basic QVdTOng=", "Negotiate x"])
def test_refuses_other_authorization_without_a_challenge(http: Http, authorization: str) -> None:
    answer = http.send("GET", "/v2/", Authorization=authorization)

    assert (answer.status, error(answer)) == (400, INVALID)
    assert "WWW-Authenticate" not in answer.headers


def test_challenges_basic_authentication_if_configured(http: Http) -> None:
    http.sandbox.settings = Settings(basic_on_v2=401)

    assert http.send("GET", "/v2/", Authorization="Basic QVdTOng=").status == 401


def test_accepts_the_authorization_data_of_the_api_as_a_token(http: Http) -> None:
    http.token = http.api.get_authorization_token()["authorizationData"]["authorizationToken"]

    assert http.send("GET", "/v2/").status == 200


def test_refuses_the_authorization_data_of_the_api_as_a_token_if_configured(http: Http) -> None:
    http.sandbox.settings = Settings(raw_bearer="reject")
    http.token = http.api.get_authorization_token()["authorizationData"]["authorizationToken"]

    assert http.send("GET", "/v2/").status == 400


@pytest.mark.parametrize(
    ("style", "message"),
    [(400, INVALID[1]), (403, "Your authorization token has expired. Reauthenticate and try again.")],
)
def test_refuses_an_expired_token(anonymous: Http, style: Any, message: str) -> None:
    anonymous.sandbox.settings = Settings(token_ttl_seconds=0, expired_style=style)

    answer = anonymous.send("GET", "/v2/")

    assert (answer.status, error(answer)) == (style, ("DENIED", message))


def test_refuses_an_expired_password(http: Http) -> None:
    credentials = http.api.get_authorization_token()["authorizationData"]["authorizationToken"]
    http.sandbox.settings = Settings(password_ttl_seconds=0)

    answer = http.send("GET", "/token/", Authorization=f"Basic {credentials}")

    assert (answer.status, error(answer)[0]) == (403, "DENIED")


def test_the_password_looks_like_that_of_the_service(http: Http) -> None:
    data = http.api.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")

    content = json.loads(base64.b64decode(password))
    assert (user, content["version"], content["type"]) == ("AWS", "3", "DATA_KEY")
    assert content["expiration"] == int(data["expiresAt"].timestamp())


def test_only_head_returns_the_digest(anonymous: Http, image: Image) -> None:
    anonymous.api.put(image, "latest")

    head = anonymous.send("HEAD", f"{anonymous.repository}/manifests/latest")
    answer = anonymous.get("manifests/latest")

    assert head.headers["Docker-Content-Digest"] == image.digest
    assert head.headers["Content-Length"] == str(len(image.manifest))
    assert head.headers["Content-Type"] == answer.headers["Content-Type"] == image.media_type
    assert "Docker-Content-Digest" not in answer.headers
    assert answer.data == image.manifest


def test_get_returns_the_digest_if_configured(anonymous: Http, image: Image) -> None:
    anonymous.sandbox.settings = Settings(get_manifest_digest_header=True)

    assert anonymous.get(f"manifests/{image.digest}").headers["Docker-Content-Digest"] == image.digest


@pytest.mark.parametrize("reference", ["unknown", MISSING, "sha256:short"])
def test_refuses_an_unknown_manifest(anonymous: Http, reference: str) -> None:
    answer = anonymous.get(f"manifests/{reference}")

    assert (answer.status, error(answer)) == (404, ("MANIFEST_UNKNOWN", "Requested image not found"))


def test_refuses_a_tag_with_invalid_characters(anonymous: Http) -> None:
    assert anonymous.get("manifests/a%2Bb").status == 400


@pytest.mark.parametrize("path", ["/v2/nobody/knows", "/v2/{alias}/nobody/knows"])
def test_refuses_an_unknown_repository_and_names_the_registry_by_alias(anonymous: Http, path: str) -> None:
    alias = anonymous.repository.split("/")[2]
    answer = anonymous.send("GET", f"{path.format(alias=alias)}/manifests/latest")

    code, message = error(answer)
    assert (answer.status, code) == (404, "NAME_UNKNOWN")
    assert message.endswith(f"in the registry with id '{alias if '{' in path else 'nobody'}'")


def test_an_account_is_not_an_alias(anonymous: Http) -> None:
    assert anonymous.send("GET", f"/v2/123456789012/{REPOSITORY}/tags/list").status == 404


def test_pushing_again_is_a_success(pusher: Http, other: Image) -> None:
    answers = [pusher.put(reference, other.manifest, other.media_type) for reference in ("1", "1", other.digest)]

    assert [answer.status for answer in answers] == [201, 201, 201]
    assert all("Location" not in answer.headers for answer in answers)
    assert pusher.api.digests() == {"1": other.digest}


def test_a_push_returns_its_location_if_configured(pusher: Http, other: Image) -> None:
    pusher.sandbox.settings = Settings(manifest_put_location=True)

    answer = pusher.put("1", other.manifest, other.media_type)

    assert answer.headers["Location"].endswith(f"/manifests/{other.digest}")
    assert answer.headers["Docker-Content-Digest"] == other.digest


def test_a_push_of_a_referrer_names_its_subject(pusher: Http, other: Image) -> None:
    subject = {"mediaType": other.media_type, "digest": other.digest, "size": len(other.manifest)}
    signature = changed(other, subject=subject, artifactType="application/x-signature")

    answer = pusher.put(str(Digest.of(signature)), signature, other.media_type)

    referrers = pusher.get(f"referrers/{other.digest}")
    assert answer.headers["OCI-Subject"] == other.digest
    assert referrers.headers["Content-Type"] == ManifestMediaType.OCI_INDEX
    assert [entry["digest"] for entry in referrers.json()["manifests"]] == [str(Digest.of(signature))]
    assert pusher.get(f"referrers/{other.digest}?artifactType=application/x-sbom").json()["manifests"] == []


def test_an_unknown_digest_has_no_referrers(anonymous: Http) -> None:
    assert anonymous.get(f"referrers/{MISSING}").json()["manifests"] == []


Change = Callable[[Image], bytes]


@pytest.mark.parametrize(
    ("reference", "change", "status", "code"),
    [
        ("1", lambda _image: b"{}", 405, "UNSUPPORTED"),
        ("1", lambda image: changed(image, layers=[]), 405, "UNSUPPORTED"),
        ("1", lambda image: changed(image, annotations={"a": "b" * 4_194_304}), 405, "UNSUPPORTED"),
        (MISSING, lambda image: image.manifest, 400, "DIGEST_INVALID"),
        (
            "1",
            lambda image: changed(image, config={"mediaType": "a/b", "digest": MISSING, "size": 1}),
            400,
            "BLOB_UPLOAD_UNKNOWN",
        ),
    ],
    ids=["not a manifest", "no layers", "too long", "wrong digest", "missing config"],
)
def test_refuses_an_invalid_push(
    pusher: Http, other: Image, reference: str, change: Change, status: int, code: str
) -> None:
    answer = pusher.put(reference, change(other), other.media_type)

    assert (answer.status, error(answer)[0]) == (status, code)
    assert pusher.api.digests() == {}


def test_refuses_an_index_before_its_images(pusher: Http, image: Image) -> None:
    missing = {**json.loads(image.manifest)["manifests"][0], "digest": MISSING}

    answer = pusher.put("1", changed(image, manifests=[missing]), image.media_type)

    assert (answer.status, error(answer)[0]) == (400, "MANIFEST_BLOB_UNKNOWN")


def test_refuses_a_push_beyond_the_quota(pusher: Http, other: Image) -> None:
    pusher.sandbox.settings = Settings(tags_per_image=1)

    statuses = [pusher.put(tag, other.manifest, other.media_type).status for tag in ("1", "2")]

    assert statuses == [201, 403]


def test_refuses_a_push_without_a_password(anonymous: Http, other: Image) -> None:
    answer = anonymous.put("1", other.manifest, other.media_type)

    assert (answer.status, error(answer)[0]) == (403, "DENIED")


def test_refuses_a_push_by_another_account(http: Http, other: Image) -> None:
    stranger = make_api(http.sandbox, aws_access_key_id="210987654321")
    http.login(stranger.get_authorization_token()["authorizationData"]["authorizationToken"])

    answer = http.put("1", other.manifest, other.media_type)

    assert (answer.status, error(answer)[0]) == (403, "DENIED")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "manifests/latest"),
        ("DELETE", f"blobs/{MISSING}"),
        ("DELETE", "blobs/uploads/x"),
    ],
)
def test_refuses_unsupported_operations(pusher: Http, method: str, path: str) -> None:
    answer = pusher.send(method, f"{pusher.repository}/{path}")

    assert (answer.status, error(answer)[0]) == (405, "UNSUPPORTED")


@pytest.mark.parametrize("path", ["unknown/latest", "manifests", "blobs/uploads/x/y/z", "../../../unknown"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path_is_not_found(pusher: Http, method: str, path: str) -> None:
    answer = pusher.send(method, f"{pusher.repository}/{path}")

    assert (answer.status, error(answer)) == (404, ("NOT_FOUND", "404 page not found"))


def test_has_no_catalog_of_repositories(pusher: Http) -> None:
    assert pusher.send("GET", "/v2/_catalog").status == 404


def test_paginates_tags_with_an_opaque_link(anonymous: Http, other: Image) -> None:
    names = {f"t{number}" for number in range(7)}
    for name in names:
        anonymous.api.put(other, name)

    found: list[str] = []
    path = f"{anonymous.repository}/tags/list?n=3"
    while path:
        answer = anonymous.send("GET", path)
        assert answer.json()["name"] == anonymous.repository.removeprefix("/v2/")
        found += answer.json()["tags"]
        path = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")

    assert (set(found), len(found)) == (names, 7)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("last=t1", "Invalid parameter at 'NextToken' failed to satisfy constraint: 'Invalid next token provided'"),
        (
            "n=1001",
            f"{PAGE_SIZE} 'Member must have value less than or equal to 1000'",
        ),
        (
            "n=0",
            f"{PAGE_SIZE} 'Member must have value greater than or equal to 1'",
        ),
    ],
)
def test_refuses_invalid_pages(anonymous: Http, query: str, message: str) -> None:
    answer = anonymous.get(f"tags/list?{query}")

    assert (answer.status, error(answer)) == (405, ("UNSUPPORTED", message))


def test_limits_anonymous_pulls_if_configured(http: Http, image: Image) -> None:
    http.sandbox.settings = Settings(anonymous_pulls_per_second=2)
    http.login("")
    anonymous = [http.get(f"manifests/{image.digest}") for _ in range(3)]
    http.login()
    authenticated = [http.get(f"manifests/{image.digest}").status for _ in range(3)]

    assert [answer.status for answer in anonymous] == [200, 200, 429]
    assert error(anonymous[2]) == ("TOOMANYREQUESTS", "Rate exceeded")
    assert "Retry-After" not in anonymous[2].headers
    assert authenticated == [200, 200, 200]


def test_limits_pulls_of_an_account_if_configured(http: Http, image: Image) -> None:
    http.sandbox.settings = Settings(authenticated_pulls_per_second=2)
    http.login()

    assert [http.get(f"manifests/{image.digest}").status for _ in range(3)] == [200, 200, 429]
    http.login("")
    assert [http.get(f"manifests/{image.digest}").status for _ in range(3)] == [200, 200, 200]


def test_reads_lag_behind_writes_if_configured(anonymous: Http, other: Image) -> None:
    anonymous.api.put(other, "1")
    by_tag, by_digest = "manifests/1", f"manifests/{other.digest}"

    anonymous.sandbox.settings = Settings(read_lag_tag_seconds=60)
    tag_lags = [anonymous.get(path).status for path in (by_tag, by_digest)]
    anonymous.sandbox.settings = Settings(read_lag_digest_seconds=60)
    digest_lags = [anonymous.get(path).status for path in (by_tag, by_digest)]

    assert (tag_lags, digest_lags) == ([404, 200], [200, 404])


def test_converts_a_manifest_for_clients_of_the_other_format_if_configured(sandbox: Sandbox, anonymous: Http) -> None:
    image = build_image({"a": b"b"})
    push_image(sandbox, REPOSITORY, image, tags=["1"])
    docker = ManifestMediaType.DOCKER_MANIFEST

    plain = anonymous.get("manifests/1", Accept=docker)
    sandbox.settings = Settings(translate_on_accept_mismatch=True)
    translated = anonymous.get("manifests/1", Accept=docker)
    by_digest = anonymous.get(f"manifests/{image.digest}", Accept=docker)
    both = anonymous.get("manifests/1", Accept=f"{docker}, {image.media_type};q=0.5")

    assert [answer.data == image.manifest for answer in (plain, translated, by_digest, both)] == [
        True,
        False,
        True,
        True,
    ]
    assert translated.headers["Content-Type"] == docker
    assert translated.json()["config"]["mediaType"] == "application/vnd.docker.container.image.v1+json"

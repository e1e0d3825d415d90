"""Each kind of fault, as a real client sees it."""

from __future__ import annotations

import time
from typing import Any

import pytest
import urllib3
from botocore.exceptions import BotoCoreError, ConnectionClosedError

from cdk_ecrpublic.sandbox import Fault, Sandbox
from cdk_ecrpublic.sandbox.images import Image

from .conftest import REPOSITORY, Api
from .test_registry_http import Http, error


@pytest.fixture
def http(sandbox: Sandbox, api: Api) -> Http:
    client = Http(sandbox, api)
    client.login("")
    return client


def outcomes(api: Api, count: int) -> list[bool]:
    """Call DescribeRegistries several times; return which calls succeeded."""
    results = []
    for _ in range(count):
        try:
            api.describe_registries()
        except api.client.exceptions.ClientError:
            results.append(False)
        else:
            results.append(True)
    return results


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 400),
        ("AccessDeniedException", 400),
        ("ImageTagAlreadyExistsException", 400),
        ("ServerException", 500),
        ("ServiceUnavailable", 503),
    ],
)
def test_returns_an_error_by_code(sandbox: Sandbox, api: Api, other: Image, code: str, status: int) -> None:
    sandbox.faults.add(Fault(operation="PutImage", code=code, message="because"))

    refusal = api.refused_put(other, "1")

    assert (refusal.code, refusal.message, refusal.status) == (code, "because", status)
    assert api.digests() == {}


@pytest.mark.parametrize(("code", "status"), [("TOOMANYREQUESTS", 429), ("DENIED", 403), ("NAME_UNKNOWN", 404)])
def test_returns_an_error_by_code_over_http(sandbox: Sandbox, http: Http, image: Image, code: str, status: int) -> None:
    sandbox.faults.add(Fault(operation="GetManifest", code=code))

    answer = http.get(f"manifests/{image.digest}")

    assert (answer.status, error(answer)[0]) == (status, code)


def test_returns_a_status_and_a_body_verbatim(sandbox: Sandbox, http: Http) -> None:
    sandbox.faults.add(Fault(operation="Ping", status=502, body="<html>Bad Gateway</html>"))

    answer = http.send("GET", "/v2/")

    assert (answer.status, answer.data) == (502, b"<html>Bad Gateway</html>")


@pytest.mark.parametrize(
    ("skip", "times", "expected"),
    [
        (0, 1, [False, True, True, True]),
        (1, 2, [True, False, False, True]),
        (2, None, [True, True, False, False]),
    ],
)
def test_skips_some_calls_and_hits_others(
    sandbox: Sandbox, api: Api, skip: int, times: int | None, expected: list[bool]
) -> None:
    sandbox.faults.add(Fault(operation="DescribeRegistries", skip=skip, times=times, code="ServerException"))

    assert outcomes(api, 4) == expected


def test_faults_are_applied_one_after_the_other(sandbox: Sandbox, api: Api) -> None:
    sandbox.faults.add(
        Fault(operation="DescribeRegistries", code="ServerException"),
        Fault(operation="DescribeRegistries", skip=2, code="ServerException"),
    )

    assert outcomes(api, 4) == [False, True, False, True]


@pytest.mark.parametrize(
    ("narrowed", "is_hit"),
    [
        ({}, True),
        ({"operation": "PutImage", "face": "api", "repository": REPOSITORY, "reference": "1"}, True),
        ({"operation": "DescribeImages"}, False),
        ({"face": "http"}, False),
        ({"repository": "acme/other"}, False),
        ({"reference": "2"}, False),
    ],
)
def test_hits_only_the_selected_requests(
    sandbox: Sandbox, api: Api, other: Image, narrowed: dict[str, Any], *, is_hit: bool
) -> None:
    sandbox.faults.add(Fault(code="ServerException", **narrowed))

    if is_hit:
        assert api.refused_put(other, "1").code == "ServerException"
    else:
        api.put(other, "1")


@pytest.mark.parametrize(
    "wrong",
    [
        {"operation": "PutImages", "code": "x"},
        {"operation": "PutImage"},
        {"drop": "during"},
        {"code": "x", "face": "both"},
    ],
)
def test_refuses_a_fault_that_could_never_apply(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"allowed|no effect"):
        Fault(**wrong)


def test_delays_a_response(sandbox: Sandbox, api: Api) -> None:
    sandbox.faults.add(Fault(operation="DescribeRegistries", delay_seconds=0.2))

    started = time.monotonic()
    api.describe_registries()

    assert time.monotonic() - started >= 0.2


def test_a_delay_exceeds_the_timeout_of_a_client(sandbox: Sandbox, http: Http) -> None:
    sandbox.faults.add(Fault(operation="Ping", delay_seconds=5))

    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        urllib3.request("GET", f"{sandbox.url}/v2/", timeout=0.1, retries=False)
    assert http.send("GET", "/v2/").status == 200


def test_a_connection_that_breaks_before_the_request_takes_effect(sandbox: Sandbox, api: Api, other: Image) -> None:
    sandbox.faults.add(Fault(operation="PutImage", drop="before"))

    with pytest.raises(ConnectionClosedError):
        api.put(other, "1")

    assert api.digests() == {}


def test_loses_a_response(sandbox: Sandbox, api: Api, other: Image) -> None:
    sandbox.faults.add(Fault(operation="PutImage", drop="after"))

    with pytest.raises(ConnectionClosedError):
        api.put(other, "1")

    assert api.digests() == {"1": other.digest}
    assert [request.status for request in sandbox.requests.all("PutImage")] == [0]


def test_a_connection_that_breaks_over_http(sandbox: Sandbox, http: Http) -> None:
    sandbox.faults.add(Fault(operation="Ping", drop="before"))

    with pytest.raises(urllib3.exceptions.ProtocolError):
        http.send("GET", "/v2/")


@pytest.mark.parametrize("operation", ["GetManifest", "DownloadBlob"])
def test_truncates_a_body(sandbox: Sandbox, http: Http, other: Image, operation: str) -> None:
    sandbox.faults.add(Fault(operation=operation, truncate_bytes=10))
    url = f"{sandbox.url}{http.repository}/manifests/{other.digest}"
    if operation == "DownloadBlob":
        url = http.get(f"blobs/{next(iter(other.blobs))}").headers["Location"]

    answer = urllib3.request(
        "GET",
        url,
        headers={"Authorization": f"Bearer {http.token}"} if operation == "GetManifest" else {},
        preload_content=False,
        retries=False,
    )

    assert answer.status == 200
    with pytest.raises(urllib3.exceptions.ProtocolError, match="IncompleteRead"):
        answer.read()


def test_truncates_an_api_response(sandbox: Sandbox, api: Api) -> None:
    sandbox.faults.add(Fault(operation="DescribeRegistries", truncate_bytes=5))

    with pytest.raises(BotoCoreError):
        api.describe_registries()


def test_sends_a_body_slowly(sandbox: Sandbox, http: Http, image: Image) -> None:
    sandbox.faults.add(Fault(operation="GetManifest", drip_seconds=0.01))

    started = time.monotonic()
    answer = http.get(f"manifests/{image.digest}")

    assert answer.data == image.manifest
    assert time.monotonic() - started >= 0.15


def test_a_stale_read_shows_the_previous_image_of_a_tag(
    sandbox: Sandbox, http: Http, image: Image, other: Image
) -> None:
    http.api.put(image, "latest")
    http.api.put(other, "latest")
    sandbox.faults.add(Fault(operation="GetManifest", stale=True))

    assert [http.get("manifests/latest").data for _ in range(2)] == [image.manifest, other.manifest]


def test_a_stale_read_does_not_show_a_new_digest(sandbox: Sandbox, http: Http, image: Image) -> None:
    sandbox.faults.add(Fault(operation="HeadManifest", stale=True))

    path = f"{http.repository}/manifests/{image.digest}"
    assert [http.send("HEAD", path).status for _ in range(2)] == [404, 200]


def test_no_fault_is_left_after_clearing(sandbox: Sandbox, api: Api) -> None:
    sandbox.faults.add(Fault(times=None, code="ServerException"))

    sandbox.faults.clear()

    assert sandbox.faults.all() == []
    assert outcomes(api, 1) == [True]

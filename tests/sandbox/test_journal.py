"""The requests that the sandbox records, and the controls over HTTP."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ConnectionClosedError

from cdk_ecrpublic.sandbox import Fault, Sandbox, SandboxProcess, Settings
from cdk_ecrpublic.sandbox.images import Image, build_image, push_image
from cdk_ecrpublic.sandbox.operations import HTTP_OPERATIONS
from cdk_ecrpublic.sandbox.registry.application import ROUTES
from cdk_ecrpublic.sandbox.store.state import TagMove

from .conftest import REPOSITORY, Api
from .test_registry_http import Http


@pytest.fixture
def http(sandbox: Sandbox, api: Api) -> Http:
    client = Http(sandbox, api)
    client.login("")
    return client


def control(sandbox: Sandbox, method: str, path: str, body: object = None) -> Any:
    return urllib3.request(method, f"{sandbox.url}/_sandbox/{path}", json=body).json()


def test_has_a_name_for_every_route() -> None:
    routed = {operation for _, _, operation, _ in ROUTES}

    assert {*routed, "Token", "DownloadBlob", "Unsupported", "NotFound"} == set(HTTP_OPERATIONS)


def test_counts_requests_to_both_apis(sandbox: Sandbox, http: Http, image: Image) -> None:
    sandbox.requests.clear()

    http.api.put(image, "1")
    http.api.refused_put(image, "1")
    http.get("manifests/1")
    http.get("manifests/unknown")
    http.token = ""
    http.get("manifests/1")

    found = [
        (request.face, request.operation, request.repository, request.reference, request.status, request.error)
        for request in sandbox.requests
        if request.operation != "DescribeRepositories"
    ]
    assert found == [
        ("api", "PutImage", REPOSITORY, "1", 200, ""),
        ("api", "PutImage", REPOSITORY, "1", 400, "ImageAlreadyExistsException"),
        ("http", "GetManifest", REPOSITORY, "1", 200, ""),
        ("http", "GetManifest", REPOSITORY, "unknown", 404, "MANIFEST_UNKNOWN"),
        ("http", "GetManifest", REPOSITORY, "1", 401, "DENIED"),
    ]
    assert sandbox.requests.count("PutImage") == 2
    assert [request.authentication for request in sandbox.requests.all("GetManifest")] == [
        "anonymous",
        "anonymous",
        "none",
    ]


def test_records_whether_a_request_used_a_password(sandbox: Sandbox, http: Http) -> None:
    http.login()
    http.send("GET", "/v2/")

    assert [request.authentication for request in sandbox.requests.all("Token", "Ping")][-2:] == ["authenticated"] * 2


def test_records_no_secrets(sandbox: Sandbox, http: Http, other: Image) -> None:
    http.login()
    http.get(f"blobs/{next(iter(other.blobs))}")

    written = repr([asdict(request) for request in sandbox.requests])
    assert http.token not in written
    assert "Bearer" not in written


def test_faults_can_be_scripted_over_http(sandbox: Sandbox, api: Api) -> None:
    answer = control(sandbox, "POST", "faults", [{"operation": "DescribeRegistries", "code": "ServerException"}])

    assert [Fault.from_json(item) for item in answer] == sandbox.faults.all()
    assert api.refusal("describe_registries").code == "ServerException"
    assert control(sandbox, "PUT", "faults", []) == []
    assert control(sandbox, "GET", "faults") == control(sandbox, "DELETE", "faults") == []


def test_settings_can_be_changed_over_http(sandbox: Sandbox) -> None:
    answer = control(sandbox, "PUT", "settings", {"patch_status": 202})

    assert Settings.from_json(answer) == sandbox.settings == Settings(patch_status=202)
    assert control(sandbox, "GET", "settings") == answer


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("settings", {"unknown": 1}),
        ("settings", {"patch_status": 200}),
        ("settings", {"mount": "maybe"}),
        ("settings", {"read_lag_tag_seconds": -1}),
        ("settings", []),
        ("faults", {}),
        ("faults", [{"operation": "PutImage"}]),
        ("faults", [{"unknown": 1}]),
    ],
)
def test_refuses_invalid_controls(sandbox: Sandbox, path: str, body: object) -> None:
    assert "error" in control(sandbox, "PUT", path, body)
    assert (sandbox.settings, sandbox.faults.all()) == (Settings(), [])


@pytest.mark.usefixtures("image")
def test_a_reset_removes_everything(sandbox: Sandbox, api: Api) -> None:
    sandbox.faults.add(Fault(code="ServerException"))

    control(sandbox, "POST", "reset")

    assert api.describe_repositories()["repositories"] == []
    assert list(sandbox.store.folder.iterdir()) == []


def test_requests_can_be_read_and_cleared_over_http(sandbox: Sandbox, api: Api) -> None:
    api.describe_registries()

    assert control(sandbox, "GET", "requests")[-1]["operation"] == "DescribeRegistries"
    assert control(sandbox, "DELETE", "requests") == []


def test_reports_that_it_is_running(sandbox: Sandbox) -> None:
    assert control(sandbox, "GET", "health") == {"status": "ok", "url": sandbox.url, "account": sandbox.account}


def test_records_the_time_of_each_response(sandbox: Sandbox, api: Api) -> None:
    before = time.time()

    api.describe_registries()

    assert before <= sandbox.requests.all("DescribeRegistries")[-1].time <= time.time()


def test_records_the_tags_that_a_request_moved(sandbox: Sandbox, api: Api, image: Image, other: Image) -> None:
    sandbox.requests.clear()

    api.put(image, "1")
    api.put(other, "1")
    api.refused_put(other, "1")
    push_image(sandbox, REPOSITORY, image, ["1", "2"])
    api.batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": "2"}, {"imageTag": "unknown"}])

    moves = [
        (request.operation, move.tag, move.before, move.after) for request in sandbox.requests for move in request.moves
    ]
    assert moves == [
        ("PutImage", "1", "", image.digest),
        ("PutImage", "1", image.digest, other.digest),
        ("PutManifest", "1", other.digest, image.digest),
        ("PutManifest", "2", "", image.digest),
        ("BatchDeleteImage", "2", image.digest, ""),
    ]


def test_records_the_move_of_a_request_whose_response_was_lost(sandbox: Sandbox, api: Api, image: Image) -> None:
    sandbox.faults.add(Fault(operation="PutImage", drop="after"))

    with pytest.raises(ConnectionClosedError):
        api.put(image, "1")

    (request,) = sandbox.requests.all("PutImage")
    assert (request.status, request.moves) == (0, (TagMove(tag="1", before="", after=image.digest),))


def test_another_process_reads_the_same_entries(aws: SandboxProcess) -> None:
    aws.reset()
    aws.client("ecr-public").create_repository(repositoryName=REPOSITORY)
    image = build_image({"etc/release": b"1\n"})

    push_image(aws, REPOSITORY, image, ["1"])

    assert aws.requests.all("PutManifest")[-1].moves == (TagMove(tag="1", before="", after=image.digest),)

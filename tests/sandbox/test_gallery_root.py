"""``GET /`` returns the gallery to a browser, and the response of S3 to other clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
from botocore import UNSIGNED
from botocore.config import Config

from cdk_ecrpublic.sandbox import SandboxProcess

from .wire import Answer, Served, send, serve

HTML = ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
BROWSER = (HTML, ("User-Agent", "Mozilla/5.0"), ("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate"))


@pytest.fixture
def served() -> Iterator[Served]:
    with serve() as served:
        yield served


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_browser_gets_the_gallery(served: Served, method: str) -> None:
    answer = served.send(method, "/", *BROWSER)

    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert served.others.reached == []


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_serves_the_gallery_under_every_name_of_the_sandbox(served: Served, name: str) -> None:
    answer = _send(served, "/", ("Host", f"{name}:{served.port}"), HTML)

    assert "ECR Public" in answer.text


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("/", []),
        ("/", [("Accept", "*/*")]),
        ("/", [("Accept", "application/xml")]),
        ("/", [HTML, ("Authorization", "AWS4-HMAC-SHA256 Credential=1/20260101/us-east-1/s3/aws4_request")]),
        ("/", [HTML, ("Authorization", "AWS 1:signature-of-version-2")]),
        ("/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0", [HTML]),
        ("/?max-buckets=1", [HTML]),
        ("/?x-id=ListBuckets", [HTML]),
        ("/bucket", [HTML]),
    ],
)
def test_forwards_requests_of_s3_clients(served: Served, target: str, fields: list[tuple[str, str]]) -> None:
    answer = served.send("GET", target, *fields)

    assert answer.text == "secret"
    assert len(served.others.reached) == 1


@pytest.mark.parametrize("name", ["bucket.localhost", "bucket.s3.localhost", "api.execute-api.localhost"])
def test_does_not_serve_the_gallery_under_the_name_of_a_bucket_or_an_api(served: Served, name: str) -> None:
    assert _send(served, "/", ("Host", f"{name}:{served.port}"), HTML).text == "secret"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_forwards_other_methods(served: Served, method: str) -> None:
    assert served.send(method, "/", HTML).text == "secret"


@pytest.mark.parametrize(
    "target", ["/", "/_sandbox/gallery/", "/_sandbox/gallery/journal", "/_sandbox/gallery/style.css"]
)
@pytest.mark.parametrize(
    "field",
    [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site")],
)
def test_a_page_of_another_site_gets_nothing(served: Served, target: str, field: tuple[str, str]) -> None:
    assert served.send("GET", target, HTML, field).status == 403


def test_another_host_gets_nothing(served: Served) -> None:
    assert _send(served, "/", ("Host", f"rebound.example:{served.port}"), HTML).status == 403


def test_the_links_of_the_gallery_work(served: Served) -> None:
    assert served.send("GET", "/_sandbox/gallery/journal", HTML, ("Sec-Fetch-Site", "same-origin")).status == 200


def test_the_controls_still_work(served: Served) -> None:
    assert served.send("GET", "/_sandbox/health").status == 200
    assert served.send("GET", "/_sandbox/galleryx").status == 404


def test_s3_lists_its_buckets(aws: SandboxProcess) -> None:
    client = aws.client("s3")
    client.create_bucket(Bucket="listed")
    anonymous: Any = aws.client("s3", config=Config(signature_version=UNSIGNED))
    signed = client.generate_presigned_url("list_buckets")

    assert "listed" in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    assert "listed" in [bucket["Name"] for bucket in anonymous.list_buckets()["Buckets"]]
    assert b"<Name>listed</Name>" in urllib3.request("GET", signed, headers={"Accept": "text/html"}).data
    assert b"<Name>listed</Name>" in urllib3.request("GET", aws.url).data
    assert b"<h1>" in urllib3.request("GET", aws.url, headers={"Accept": "text/html"}).data


def _send(served: Served, target: str, *fields: tuple[str, str]) -> Answer:
    return send(served.port, "GET", target, fields)

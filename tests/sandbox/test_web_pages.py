"""A web page cannot use the sandbox: requests of browsers on behalf of pages, and requests of other clients."""

from __future__ import annotations

import base64
import json
import logging
import os
from collections.abc import Iterator

import pytest

from .wire import Served, raw, send, send_raw, serve

EVIL = ("Origin", "http://evil.example")
CROSS = ("Sec-Fetch-Site", "cross-site")
TEXT = ("Content-Type", "text/plain;charset=UTF-8")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
FIREFOX = ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")

FAULT = b'[{"operation": "Ping", "status": 500}]'

PAGES = {
    "fetch without cors": ("POST", [EVIL, CROSS, ("Sec-Fetch-Mode", "no-cors"), TEXT, FIREFOX]),
    "fetch with cors": ("POST", [EVIL, CROSS, ("Sec-Fetch-Mode", "cors"), TEXT, FIREFOX]),
    "sendBeacon": ("POST", [EVIL, CROSS, ("Sec-Fetch-Dest", "empty"), TEXT, FIREFOX]),
    "a form": ("POST", [EVIL, CROSS, ("Sec-Fetch-Mode", "navigate"), FORM, FIREFOX]),
    "an image": ("GET", [CROSS, ("Sec-Fetch-Dest", "image"), FIREFOX]),
    "a script": ("GET", [CROSS, ("Sec-Fetch-Dest", "script"), FIREFOX]),
    "a link": ("GET", [CROSS, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-User", "?1"), FIREFOX]),
    "a preflight": ("OPTIONS", [EVIL, CROSS, ("Access-Control-Request-Method", "PUT"), FIREFOX]),
    "a page of another port": ("POST", [("Origin", "http://127.0.0.1:1"), ("Sec-Fetch-Site", "same-site"), FIREFOX]),
    "a frame without origin": ("POST", [("Origin", "null"), CROSS, FIREFOX]),
    "a file": ("GET", [("Origin", "null"), ("Sec-Fetch-Mode", "cors")]),
    "a form of an older browser": ("POST", [EVIL, FORM]),
    "an image of an older browser": ("GET", [FIREFOX]),
    "an image of an older browser that names its page": ("GET", [("Referer", "http://evil.example/"), FIREFOX]),
}
"""Methods and headers that browsers send without a preflight request."""

PLACES = {
    "the controls": "/_sandbox/faults",
    "the api": "/",
    "the registry": "/v2/",
    "tokens": "/token/",
    "layers": "/_blob/sha256:0/0",
    "other services": "/2015-03-31/functions",
}

API = [
    ("X-Amz-Target", "SpencerFrontendService.CreateRepository"),
    ("Authorization", "AWS4-HMAC-SHA256 Credential=123456789012/20260101/us-east-1/ecr-public/aws4_request"),
]


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    with serve() as served:
        yield served


@pytest.fixture
def served(running: Served) -> Served:
    """A sandbox in its initial state."""
    running.sandbox.reset()
    running.others.reached.clear()
    return running


def state(served: Served) -> object:
    """Return everything that a request could have changed."""
    sandbox = served.sandbox
    repositories = sandbox.store.registry_of(sandbox.account).repositories
    return list(repositories), sandbox.faults.all(), sandbox.requests.all(), sandbox.settings, served.others.reached


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("page", PAGES)
def test_refuses_requests_of_a_browser_on_behalf_of_a_page(served: Served, page: str, place: str) -> None:
    method, fields = PAGES[page]
    before = state(served)

    answer = served.send(method, PLACES[place], *API, *fields, body=FAULT)

    assert (answer.status, answer.cors, state(served)) == (403, [], before)
    assert answer.text.startswith("The sandbox refuses this request: ")
    assert (answer.headers["Content-Type"], answer.headers["X-Content-Type-Options"]) == (
        "text/plain; charset=utf-8",
        "nosniff",
    )


@pytest.mark.parametrize("page", PAGES)
def test_accepts_the_same_request_from_another_client(served: Served, page: str) -> None:
    method, fields = PAGES[page]
    kept = [(name, value) for name, value in fields if name == "Content-Type"]

    answer = served.send(method, "/2015-03-31/functions", ("User-Agent", "curl/8.14"), *kept, body=b"x")

    assert (answer.status, answer.text) == (200, "secret")
    assert served.others.reached == [f"{method} /2015-03-31/functions"]


def test_accepts_a_control_request_from_another_client(served: Served) -> None:
    answer = served.send("POST", "/_sandbox/faults", TEXT, body=FAULT)

    assert answer.status == 200
    assert [fault.operation for fault in served.sandbox.faults.all()] == ["Ping"]


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("User-Agent", "Boto3/1.43 md/Botocore#1.43 ua/2.1 os/linux lang/python#3.11")],
        [("User-Agent", "aws-cdk/2.1 aws-sdk-js/3.9 os/linux lang/js md/nodejs#24")],
        [("User-Agent", "go-containerregistry/v0.20")],
        [("User-Agent", "node"), ("Sec-Fetch-Mode", "cors")],
        [("User-Agent", ""), ("Referer", "x")],
        [("Sec-Fetch-Site", "same-origin"), FIREFOX],
        [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate"), FIREFOX],
    ],
    ids=["nothing", "boto3", "the cdk", "crane", "fetch of node", "odd", "its own page", "a typed URL"],
)
def test_accepts_requests_of_clients(served: Served, fields: list[tuple[str, str]]) -> None:
    assert served.send("POST", "/functions", *fields, body=b"x").status == 200


@pytest.mark.parametrize("value", ["cross-site", "same-site", "None", "same-origin, none", ""])
def test_refuses_every_other_site(served: Served, value: str) -> None:
    answer = served.send("GET", "/", ("Sec-Fetch-Site", value))

    assert answer.status == 403
    assert f"its Sec-Fetch-Site is {value!r}; allowed: same-origin and none." in answer.text


ORIGINS = ["http://{host}", "HTTP://{host}"]
FOREIGN = [
    "http://evil.example",
    "http://evil.example:{port}",
    "http://127.0.0.1",
    "http://127.0.0.1:{port}.evil.example",
    "http://127.0.0.1:{port}/",
    "http://localhost:{port}",
    "http://x@127.0.0.1:{port}",
    "https://127.0.0.1:{port}",
    "chrome-extension://abcdef",
    "127.0.0.1:{port}",
    "null",
    "",
    "http://",
]


@pytest.mark.parametrize("origin", ORIGINS)
def test_accepts_its_own_origin(served: Served, origin: str) -> None:
    own = ("Origin", origin.format(host=served.sandbox.registry_host))

    assert served.send("POST", "/functions", own, ("Sec-Fetch-Site", "same-origin"), body=b"x").status == 200


@pytest.mark.parametrize("origin", FOREIGN)
def test_refuses_every_other_origin(served: Served, origin: str) -> None:
    given = origin.format(port=served.port)

    answer = served.send("POST", "/functions", ("Origin", given), ("Sec-Fetch-Site", "same-origin"), body=b"x")

    assert answer.status == 403
    assert f"its Origin is {given!r}; allowed: the sandbox's own, '{served.sandbox.url}'." in answer.text


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:{port}",
        "127.8.9.10:{port}",
        "localhost:{port}",
        "LocalHost:{port}",
        "localhost.:{port}",
        "[::1]:{port}",
        "[0:0:0:0:0:0:0:1]:{port}",
        "bucket.localhost:{port}",
        "My_Bucket.with.dots.s3.us-east-1.localhost:{port}",
        "abcdef01.execute-api.localhost:{port}",
    ],
)
def test_accepts_the_names_of_this_machine(served: Served, host: str) -> None:
    given = host.format(port=served.port)

    assert send(served.port, "GET", "/bucket", [("Host", given)]).status == 200
    assert send(served.port, "GET", "/bucket", [("Host", given), ("Origin", f"http://{given}")]).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:{port}",
        "evil.example",
        "127.0.0.1.evil.example:{port}",
        "localhost.evil.example:{port}",
        "evillocalhost:{port}",
        "bucket.s3.localhost.localstack.cloud:{port}",
        "bucket.s3.amazonaws.com",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:1",
        "127.0.0.1:{port}0",
        "127.0.0.1:{port}/_sandbox",
        "x@127.0.0.1:{port}",
        "127.1:{port}",
        "0x7f.0.0.1:{port}",
        "0177.0.0.1:{port}",
        "2130706433:{port}",
        "0.0.0.0:{port}",
        "192.168.0.1:{port}",
        "169.254.169.254:{port}",
        "[::]:{port}",
        "[::ffff:127.0.0.1]:{port}",
        "[::1:{port}",
        "[fe80::1]:{port}",
        "..localhost.:{port}.",
        "",
    ],
)
def test_refuses_other_names(served: Served, host: str) -> None:
    """With DNS rebinding, the Origin does not show that a page is from another site."""
    answer = send(served.port, "GET", "/_sandbox/health", [("Host", host.format(port=served.port))])

    assert (answer.status, served.others.reached) == (403, [])
    assert f"allowed: 127.0.0.1:{served.port}, [::1]:{served.port}, localhost:{served.port} and" in answer.text
    assert f"Use {served.sandbox.url}" in answer.text


def test_refuses_a_request_without_host(served: Served) -> None:
    answer = send_raw(served.port, b"GET /_sandbox/health HTTP/1.0\r\n\r\n")

    assert (answer.status, "it has no Host; allowed:" in answer.text) == (403, True)


def test_accepts_http_1_0_with_a_host(served: Served) -> None:
    head = f"GET /_sandbox/health HTTP/1.0\r\nHost: {served.sandbox.registry_host}\r\n\r\n"

    assert send_raw(served.port, head.encode()).status == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        # The server itself refuses two hosts.
        ([("Host", "evil.example")], 400),
        ([("Origin", "{url}"), ("Origin", "{url}")], 403),
        ([("Origin", "{url}"), ("Origin", "http://evil.example")], 403),
        ([("Sec-Fetch-Site", "none"), ("sec-fetch-site", "cross-site")], 403),
        ([("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "none")], 403),
    ],
    ids=["hosts", "one origin twice", "two origins", "two sites", "one site twice"],
)
def test_refuses_contradictory_headers(served: Served, fields: list[tuple[str, str]], status: int) -> None:
    given = [(name, value.format(url=served.sandbox.url)) for name, value in fields]

    answer = served.send("GET", "/", *given)

    assert (answer.status, served.others.reached) == (status, [])


@pytest.mark.parametrize("target", ["http://evil.example/", "http://{host}/_sandbox/health", "evil.example:80", "x"])
def test_is_not_a_proxy(served: Served, target: str) -> None:
    given = target.format(host=served.sandbox.registry_host)

    answer = served.send("GET", given)

    assert (answer.status, served.others.reached) == (403, [])
    assert f"its target is {given!r}, which is a request to a proxy" in answer.text


@pytest.mark.parametrize("target", ["/?Action=CreateStack&x=1", "/?x=1&action=", "/queue?Act%69on=DeleteQueue"])
def test_refuses_a_link_that_calls_an_api(served: Served, target: str) -> None:
    """A mail can contain one: the browser marks it as initiated by the user."""
    link = [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate"), FIREFOX]

    answer = served.send("GET", target, *link)

    assert (answer.status, served.others.reached) == (403, [])
    assert "its parameter Action calls an API" in answer.text
    assert served.send("GET", target).status == 200
    assert served.send("GET", "/page?Reaction=1", *link).status == 200


def test_no_response_lets_another_site_read_it(served: Served) -> None:
    answer = served.send("GET", "/bucket")

    assert (answer.status, answer.cors, answer.headers["X-Kept"]) == (200, [], "yes")


def test_no_preflight_succeeds_even_for_its_own_page(served: Served) -> None:
    own = [("Origin", served.sandbox.url), ("Sec-Fetch-Site", "same-origin"), ("Access-Control-Request-Method", "PUT")]

    assert served.send("OPTIONS", "/bucket", *own).cors == []


def handshake(*fields: tuple[str, str]) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
    lines = [f"{name}: {value}" for name, value in [*upgrade, ("Sec-WebSocket-Key", key), *fields]]
    return "\r\n".join(["GET /socket HTTP/1.1", *lines, "", ""]).encode()


@pytest.mark.parametrize(
    "fields",
    [[EVIL], [EVIL, CROSS, FIREFOX], [("Origin", "null")], [CROSS], [FIREFOX]],
    ids=["origin", "all", "null", "site", "older"],
)
def test_refuses_a_websocket_of_a_page(served: Served, fields: list[tuple[str, str]]) -> None:
    answer = send_raw(served.port, handshake(served.host, *fields))

    assert (answer.status, served.others.reached) == (403, [])
    assert answer.text.startswith("The sandbox refuses this request: ")


def test_refuses_a_websocket_to_another_name(served: Served) -> None:
    answer = send_raw(served.port, handshake(("Host", f"evil.example:{served.port}")))

    assert (answer.status, served.others.reached) == (403, [])


@pytest.mark.parametrize("has_origin", [False, True])
def test_accepts_a_websocket_of_a_client(served: Served, has_origin: bool) -> None:  # noqa: FBT001 - a parameter of a test
    own = [("Origin", served.sandbox.url)] if has_origin else []

    answer = send_raw(served.port, handshake(served.host, *own))

    assert (answer.status, answer.cors, answer.headers["X-Kept"]) == (101, [], "yes")
    assert served.others.reached == ["websocket /socket"]


def test_logs_a_refusal(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "cdk_ecrpublic.sandbox"):
        served.send("POST", "/_sandbox/reset", EVIL)

    (record,) = caplog.records
    assert record.getMessage() == (
        f"POST '/_sandbox/reset': The sandbox refuses this request: a web page sent it, because its Origin is "
        f"'http://evil.example'; allowed: the sandbox's own, '{served.sandbox.url}'. A page could run code on this "
        f"machine. Use a client that is not a browser, such as the AWS CLI, an SDK or curl: they send no Origin."
    )


def test_a_refusal_repeats_at_most_one_line(served: Served) -> None:
    answer = served.send("GET", "/", ("Origin", "<script>" + "x" * 5000))

    assert (answer.status, len(answer.text) < 600) == (403, True)


def test_a_connection_stays_open_after_a_refusal(served: Served) -> None:
    page = f"POST /x HTTP/1.1\r\nHost: {served.sandbox.registry_host}\r\nOrigin: null\r\nContent-Length: 2\r\n\r\n{{}}"
    client = f"GET /_sandbox/health HTTP/1.1\r\nHost: {served.sandbox.registry_host}\r\nConnection: close\r\n\r\n"

    with raw(served.port, (page + client).encode()) as connection:
        answers = b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    assert (answers.count("HTTP/1.1 403"), json.loads(answers.rpartition("\r\n\r\n")[2])["status"]) == (1, "ok")

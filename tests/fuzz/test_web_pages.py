"""The gate of the sandbox: any headers are accepted or refused, and those of a page never pass."""

from __future__ import annotations

import ipaddress

import urllib3
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdk_ecrpublic.sandbox.front.web_pages import Head, refusal
from tests.fuzz.hostile import TEXTS

PORT = 4566
OWN = ("Host", f"127.0.0.1:{PORT}")

OWN_NAMES = ("127.0.0.1", "127.1", "localhost", "LOCALHOST", "a.localhost", "localhost.", "[::1]")
ODD_NAMES = (
    "evil.example",
    "localhost.evil.example",
    "xlocalhost",
    "localho\u017ft",
    "127.0.0.1%2eevil",
    "::1",
    ".",
    "[",
)
NAMES = st.sampled_from([*OWN_NAMES, *ODD_NAMES, "[::]", "192.0.2.1"])
PORTS = st.sampled_from(
    ["", ":", f":{PORT}", ":0", ":80", ":-1", f":0{PORT}", f":{PORT}x", ":\u0664\u0665\u0666\u0666"]
)
AUTHORITIES = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "x@", "evil.example/", "evil.example?", "//", "\t"]),
    NAMES,
    PORTS,
    st.sampled_from(["", "/", "@evil.example", "#", " "]),
)
FIELDS = st.lists(
    st.tuples(
        st.sampled_from(["Host", "host", "Origin", "Sec-Fetch-Site", "User-Agent", "X-Other"]), AUTHORITIES | TEXTS
    ),
    max_size=6,
)


def refused(target: str, *fields: tuple[str, str]) -> str | None:
    return refusal(Head(target=target, fields=fields, port=PORT))


def is_here(host: str) -> bool:
    """Return whether a client with this address reaches this machine, according to another parser than the gate's."""
    try:
        parsed = urllib3.util.parse_url(f"http://{host}")
    except urllib3.exceptions.LocationParseError:
        return False
    name = (parsed.host or "").removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return (parsed.port or 80) == PORT
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback and parsed.port == PORT
    except ValueError:
        return False


@settings(max_examples=300)
@given(TEXTS, FIELDS)
@example("/", [OWN, ("Origin", "http://[")])
def test_any_headers_are_accepted_or_refused(target: str, fields: list[tuple[str, str]]) -> None:
    found = refused(f"/{target}", *fields)

    assert found is None or (found.startswith("The sandbox refuses this request: ") and found.endswith(".\n"))


@settings(max_examples=300)
@given(AUTHORITIES | TEXTS)
def test_an_accepted_host_is_this_machine(host: str) -> None:
    assert refused("/", ("Host", host)) is not None or is_here(host.strip())


@settings(max_examples=300)
@given(st.sampled_from(["http://", "https://", "HTTP://", "//", "", "http:", "null"]), AUTHORITIES | TEXTS)
def test_an_accepted_origin_is_its_own(scheme: str, rest: str) -> None:
    origin = f"{scheme}{rest}"

    assert refused("/", OWN, ("Origin", origin)) is not None or origin.strip().lower() == f"http://127.0.0.1:{PORT}"


@given(TEXTS)
def test_an_accepted_site_is_one_of_two(site: str) -> None:
    assert refused("/", OWN, ("Sec-Fetch-Site", site)) is not None or site.strip() in ("same-origin", "none")


def test_accepts_its_own_page_and_other_clients() -> None:
    assert refused("/", OWN) is None
    assert refused("/", OWN, ("Origin", f"http://127.0.0.1:{PORT}"), ("Sec-Fetch-Site", "same-origin")) is None

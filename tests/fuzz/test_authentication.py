"""Challenges, tokens, redirects, pages and secrets, which decide where credentials go."""

from __future__ import annotations

import urllib3
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lambda_handler.cfn.response import _check
from lambda_handler.errors import AccessError, DeliveryError, ImageError, InvalidManifestError, UnavailableError
from lambda_handler.oci import RegistryHost, Repository
from lambda_handler.registry.auth import _token
from lambda_handler.registry.challenge import Challenge
from lambda_handler.registry.lists import next_page
from lambda_handler.registry.logins import Logins
from lambda_handler.registry.redirects import target as redirect_target
from lambda_handler.registry.transport import HttpResponse
from tests.fuzz.hostile import JSON, TEXTS, changed, damaged, outcome, written

REGISTRY = RegistryHost("registry.example.com")
LOCAL = RegistryHost("127.0.0.1", 5000)
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-1"

OWN_HOSTS = ("registry.example.com", "example.com", "127.0.0.1:5000", "127.0.0.1", "localhost", "[::1]")
ODD_HOSTS = ("registry.example.com@evil.example", "registry.example.com.evil.example", "example.com\u2100", "[::1", ":")
HOSTS = st.sampled_from([*OWN_HOSTS, *ODD_HOSTS, "evil.example", "com", "]", "é"])
SCHEMES = st.sampled_from(["https://", "http://", "HTTPS://", "//", "ftp://", "file://", "https:", "", "\n", "data:"])
URLS = st.builds(
    "{}{}{}".format, SCHEMES, HOSTS, st.sampled_from(["", "/token", "/a b", "?x", "#x", ":0", "\x00"]) | TEXTS
)


@settings(max_examples=300)
@given(URLS | TEXTS, st.sampled_from(["Bearer", "bearer", "Basic", "Negotiate", ""]), TEXTS)
def test_any_challenge_is_parsed_or_refused(realm: str, scheme: str, more: str) -> None:
    for registry in (REGISTRY, LOCAL):
        challenge = outcome(lambda registry=registry: Challenge.parse(f'{scheme} realm="{realm}",{more}', registry))  # type: ignore[misc]

        assert isinstance(challenge, Challenge | AccessError)
        if isinstance(challenge, Challenge) and challenge.realm:
            assert registry.is_loopback or is_elsewhere_with_tls(challenge.url)
            challenge.may_have_credentials_of(registry)


def sent_to(url: str) -> urllib3.util.Url | None:
    """Return the target of a request according to the client's own parser, which refuses some URLs."""
    try:
        return urllib3.util.parse_url(url)
    except urllib3.exceptions.LocationParseError:
        return None


def is_here(sent: urllib3.util.Url) -> bool:
    return RegistryHost(sent.host or "").is_loopback


def is_elsewhere_with_tls(url: str) -> bool:
    sent = sent_to(url)
    return sent is None or (sent.scheme == "https" and bool(sent.host) and not is_here(sent) and sent.auth is None)


@settings(max_examples=300)
@given(URLS | TEXTS)
def test_a_redirect_leads_to_a_tls_url_or_is_refused(location: str) -> None:
    target = outcome(lambda: redirect_target("https://registry.example.com/v2/a/blobs/x", location, "GET blob"))

    assert isinstance(target, str | AccessError | UnavailableError)
    assert not isinstance(target, str) or is_elsewhere_with_tls(target)


@settings(max_examples=300)
@given(URLS | TEXTS)
def test_the_next_page_is_on_the_same_registry_or_refused(link: str) -> None:
    first = "https://registry.example.com/v2/a/referrers/x"
    response = HttpResponse(status=200, headers={"Link": f'<{link}>; rel="next"'}, body=b"")
    page = outcome(lambda: next_page(response, first))

    assert isinstance(page, str | InvalidManifestError)
    if isinstance(page, str) and page:
        assert urllib3.util.parse_url(page)[:4] == urllib3.util.parse_url(first)[:4]


TOKENS = st.sampled_from([{"token": "abc", "expires_in": 300}, {"access_token": "abc"}])


@given(written(JSON) | written(changed(TOKENS)) | damaged(written(TOKENS)) | st.binary())
def test_any_response_of_a_token_endpoint_gives_a_valid_token_or_is_refused(body: bytes) -> None:
    token = _token(HttpResponse(status=200, headers={}, body=body))

    assert token is None or f"Bearer {token}".encode("latin-1").isascii()


SECRETS = st.sampled_from([{"username": "me", "password": "pass"}, {"token": "abc"}])


@settings(max_examples=300)
@given(
    st.one_of(
        written(JSON),
        written(changed(SECRETS)),
        written(changed(SECRETS, TEXTS)),
        damaged(written(SECRETS)),
        st.binary(),
    ).map(lambda content: content.decode("utf-8", "replace"))
    | TEXTS
)
@example('{"username": "\\ud800", "password": "pass"}')
@example('{"username": "", "password": "ünprintable"}')
def test_any_secret_gives_valid_credentials_or_is_refused(text: str) -> None:
    login = outcome(
        lambda: Logins(lambda *asked: asked[-1]({"SecretString": text})).for_registry(Repository(REGISTRY, "a"), SECRET)
    )
    if isinstance(login, ImageError):
        return
    password = login.auth.password()
    if password is not None:
        outcome(lambda: login.auth._use_basic(password))  # noqa: SLF001 - what a Basic challenge leads to

    assert all(value.isascii() and value.isprintable() for value in login.auth.header().values())


@settings(max_examples=300)
@given(URLS | TEXTS)
def test_the_response_never_goes_to_a_url_without_tls(url: str) -> None:
    refusal = outcome(lambda: _check(url))

    sent = sent_to(url)
    assert isinstance(refusal, DeliveryError) or sent is None or sent.scheme == "https" or is_here(sent)

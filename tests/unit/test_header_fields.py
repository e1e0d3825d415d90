"""The grammars of the header fields that registries send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_handler.errors import AccessError
from lambda_handler.oci import RegistryHost
from lambda_handler.registry.challenge import Challenge
from lambda_handler.registry.header_fields import parse_challenges, parse_links

HOST = RegistryHost("registry.example.com")
REALM = "https://registry.example.com/token"
BEARER = f'Bearer realm="{REALM}",service="s"'


@pytest.mark.parametrize(
    ("header", "schemes"),
    [
        ('Bearer realm="a",service="b", Basic realm="Artifactory Realm"', ["bearer", "basic"]),
        ('Basic realm="Artifactory Realm", Bearer realm="a",service="b"', ["basic", "bearer"]),
        ('Negotiate, Basic realm="x"', ["negotiate", "basic"]),
        ('Negotiate YII=, NTLM, Bearer realm="a"', ["negotiate", "ntlm", "bearer"]),
        ('Basic realm="a, Bearer realm=b"', ["basic"]),
        ('Basic realm="a \\" quoted", Bearer realm="b"', ["basic", "bearer"]),
        (' , ,Bearer realm = "a" , service= b,,Basic', ["bearer", "basic"]),
        ('BEARER Realm="a"', ["bearer"]),
        ("Basic", ["basic"]),
        ("", []),
        ("=", []),
        ('realm="a"', []),
    ],
)
def test_parses_a_field_as_a_list_of_challenges(header: str, schemes: list[str]) -> None:
    assert [offer.scheme for offer in parse_challenges(header)] == schemes


def test_parses_parameters_with_or_without_quotes_escapes_and_spaces() -> None:
    (offer,) = parse_challenges(
        'Bearer realm="https://a/b?c=d,e", Service = x ;, scope="repository:a/b:pull,push", q="\\"'
    )

    assert offer.parameters == {"realm": "https://a/b?c=d,e", "service": "x"}
    assert not offer.is_valid


@pytest.mark.parametrize(
    ("header", "url"),
    [
        (f'{BEARER}, Basic realm="Artifactory Realm"', f"{REALM}?service=s"),
        (f'Basic realm="Artifactory Realm", {BEARER}', f"{REALM}?service=s"),
        (f'Negotiate, {BEARER}, Digest realm="x", nonce="y"', f"{REALM}?service=s"),
        ('Basic realm="x"', ""),
        ("Basic", ""),
        (f'Bearer realm="http://evil.example/", Bearer realm="{REALM}"', REALM),
        (f'Bearer realm="{REALM}?account=me"', f"{REALM}?account=me"),
        (f'Bearer realm="{REALM}?account=me",service="s"', f"{REALM}?account=me&service=s"),
        (f'Bearer realm="{REALM}#part",service="s"', f"{REALM}?service=s"),
        (f"Bearer realm={REALM},service=s", f"{REALM}?service=s"),
        ('Bearer realm="/token"', REALM),
        ('Bearer realm="http://registry.example.com/token"', REALM),
        (f'Bearer realm="{REALM}",scope="a b"', f"{REALM}?scope=a&scope=b"),
        (f'Bearer realm="{REALM}",service="s",scope=', f"{REALM}?service=s&scope=repository%3Aa%2Fb%3Apull"),
        (f'Bearer realm="{REALM}",service=,error="a"', REALM),
        (f'{BEARER},error="invalid_token",error="expired"', f"{REALM}?service=s"),
        (f'{BEARER},service="s"', f"{REALM}?service=s"),
        (f'Bearer realm="{REALM}",scope=""', f"{REALM}?scope=repository%3Aa%2Fb%3Apull"),
        (f'Bearer realm="{REALM}",scope=" ",service=""', f"{REALM}?scope=repository%3Aa%2Fb%3Apull"),
    ],
)
def test_prefers_bearer_to_basic_and_asks_its_realm(header: str, url: str) -> None:
    scope = "repository:a/b:pull" if "scope" in header and 'scope="a' not in header else ""

    challenge = Challenge.parse(header, HOST, scope)

    assert (challenge.url if challenge.realm else "") == url


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (
            'Negotiate, Digest realm="x"',
            "it requires authentication with 'negotiate, digest'; expected Bearer or Basic",
        ),
        ('Bearer service="s"', "its challenge is invalid or has no realm: 'Bearer service="),
        ("Bearer", "its challenge is invalid or has no realm: 'Bearer'"),
        ('Bearer realm="http://evil.example/token"', "is not an https URL"),
        (f'Bearer realm="{REALM}",realm="https://evil.example/"', "its challenge is invalid"),
        (f'Bearer realm="{REALM}",scope="a",scope="b"', "its challenge is invalid"),
        (f'Bearer realm="{REALM}', "its challenge is invalid"),
        ("\x00", "expected Bearer or Basic"),
    ],
)
def test_refuses_a_field_without_a_supported_challenge(header: str, said: str) -> None:
    with pytest.raises(AccessError, match=said):
        Challenge.parse(header, HOST)


@pytest.mark.parametrize(
    ("registry", "realm", "trusted"),
    [
        ("gitlab.example.com:5050", "https://gitlab.example.com/jwt/auth", True),
        ("registry.example.com", "https://registry.example.com:443/token", True),
        ("registry.example.com:443", "https://registry.example.com/token", True),
        ("harbor.example.com", "https://harbor.example.com:8443/service/token", True),
        ("registry.gitlab.example.com:5050", "https://gitlab.example.com:8443/jwt/auth", True),
        ("index.docker.io", "https://auth.docker.io/token", True),
        ("registry-1.docker.io", "https://auth.docker.io:443/token", True),
        ("registry.hub.docker.com", "https://auth.docker.io/token", True),
        ("ecr-public.aws.com", "https://public.ecr.aws/token/", True),
        ("registry.example.com", "https://gitlab.example.com/jwt/auth", False),
        ("auth.docker.io", "https://docker.io/token", True),
        ("registry.example.com", "https://registry.example.com.evil.example/token", False),
        ("127.0.0.1:5000", "http://127.0.0.1:5001/token", False),
    ],
)
def test_sends_credentials_to_a_token_endpoint_on_the_host_of_the_registry(
    registry: str,
    realm: str,
    trusted: bool,  # noqa: FBT001 - a table
) -> None:
    host = RegistryHost.parse(registry)

    assert Challenge.parse(f'Bearer realm="{realm}"', host).may_have_credentials_of(host) is trusted


def test_sends_credentials_to_another_host_only_if_it_is_trusted_explicitly() -> None:
    challenge = Challenge.parse('Bearer realm="https://gitlab.example.com/jwt/auth"', HOST)

    assert challenge.may_have_credentials_of(HOST, frozenset({RegistryHost("gitlab.example.com")}))


@pytest.mark.parametrize(
    ("field", "targets"),
    [
        ('</v2/a?n=1>; rel="next"', [("/v2/a?n=1", {"next"})]),
        ("</a>;rel=next", [("/a", {"next"})]),
        ('</a>; title="x, y; rel=prev"; REL="Next"', [("/a", {"next"})]),
        ('</a>; rel="prev next"', [("/a", {"prev", "next"})]),
        ('</a>; rel="first", </b>; rel="next"', [("/a", {"first"}), ("/b", {"next"})]),
        ('</a,b;c>; rel="next"; rel="prev"', [("/a,b;c", {"next"})]),
        ("</a>", [("/a", set())]),
        ("< /a >; flag; rel = next ;", [("/a", {"next"})]),
        ("", []),
    ],
)
def test_parses_a_field_as_a_list_of_links(field: str, targets: list[tuple[str, set[str]]]) -> None:
    assert [(link.target, set(link.relations)) for link in parse_links(field) or []] == targets


@pytest.mark.parametrize("field", ["/v2/a?n=1; rel=next", "</a", "</a>; rel=next, x", "next"])
def test_an_invalid_list_of_links_is_reported(field: str) -> None:
    assert parse_links(field) is None


@given(st.text(alphabet='abB <>"\\,;= relnxt/', max_size=60))
def test_any_field_is_parsed(field: str) -> None:
    parse_challenges(field)
    parse_links(field)

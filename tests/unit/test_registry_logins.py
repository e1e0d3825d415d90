"""The forms of authentication that registries require, over real sockets."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler

import pytest
import urllib3

from lambda_handler.clock import Deadline, SystemClock
from lambda_handler.errors import (
    AccessError,
    CredentialsError,
    ImageError,
    NotFoundError,
    ThrottledError,
    UnavailableError,
)
from lambda_handler.log import Log
from lambda_handler.oci import Digest, Repository
from lambda_handler.registry import RegistryClient, Transport
from lambda_handler.registry.logins import Logins
from lambda_handler.retry import Retry
from tests.support.clock import SteppingClock
from tests.support.memory import image_of
from tests.support.web_server import WebServer, send, web_server

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-1"
IMAGE = image_of(b"config").content
TYPE = "application/vnd.oci.image.manifest.v1+json"
BASIC = "Basic " + base64.b64encode(b"me:s3cret").decode()


@pytest.fixture
def servers() -> Iterator[list[WebServer]]:
    """Two servers on this machine; the first is the registry."""
    with ExitStack() as stack:
        yield [stack.enter_context(web_server()) for _ in range(2)]


def read(registry: WebServer, secret: str = "") -> bytes:
    """Read the image ``a/b:1`` with the credentials of a secret, or anonymously if it is empty."""
    logins = Logins(lambda *asked: asked[-1]({"SecretString": secret}))
    login = logins.for_registry(Repository.parse(f"{registry.host}/a/b"), ARN if secret else "")
    transport = Transport(urllib3.PoolManager(), Deadline.after(20, SystemClock()))
    return RegistryClient(transport, login.auth).read_tag(login.repository, "1").content


SECRET = '{"username": "me", "password": "s3cret"}'


def guarded(challenge: str, *, hidden: int = 401) -> object:
    """Respond as a registry that requires the token, or the password if it asks for Basic."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        authorization = request.headers.get("Authorization")
        if request.path.startswith("/token"):
            given = "t" if authorization in {None, BASIC} else "none"
            send(request, 200, b'{"token": "%s"}' % given.encode(), "application/json")
        elif authorization in {"Bearer t", BASIC}:
            send(request, 200, IMAGE, TYPE)
        elif hidden == 401 or request.path == "/v2/":
            send(request, 401, WWW_Authenticate=challenge)
        else:
            send(request, hidden)

    return answer


@pytest.mark.parametrize(
    "form",
    [
        'Bearer realm="{url}/token",service="s", Basic realm="Artifactory Realm"',
        'Basic realm="Artifactory Realm", Bearer realm="{url}/token",service="s"',
        'Negotiate, Bearer realm="{url}/token",service="s"',
        'bearer Realm = "{url}/token" , Service="s"',
        "Bearer realm={url}/token,service=s",
        'Bearer realm="/token",service="s"',
        'Bearer realm="{url}/token?account=me",service="s"',
        'Basic realm="here"',
    ],
)
def test_answers_every_form_of_challenge_with_credentials(servers: list[WebServer], form: str) -> None:
    servers[0].answer = guarded(form.format(url=servers[0].url))  # type: ignore[assignment]

    assert read(servers[0], SECRET) == IMAGE


LOGIN = "username=me&password=s3cret"
ASKED = "grant_type=password&client_id=cdk-ecrpublic&service=s&scope=repository%3Aa%2Fb%3Apull"


def posting(registry: WebServer, *, refusal: int = 405, moved: str = "") -> object:
    """Respond as a registry whose token endpoint accepts only forms and may have another address."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.headers.get("Authorization") == "Bearer t":
            send(request, 200, IMAGE, TYPE)
        elif not request.path.startswith(("/token", "/moved")):
            send(request, 401, WWW_Authenticate=f'Bearer realm="{registry.url}/token?a=b",service="s"')
        elif moved and request.path.startswith("/token"):
            send(request, 307, Location=moved)
        elif request.command == "POST":
            is_known = LOGIN in registry.asked[-1].form
            send(request, 200, b'{"access_token": "t"}' if is_known else b'{"access_token": "anonymous"}')
        else:
            send(request, refusal)

    return answer


@pytest.mark.parametrize("refusal", [404, 405, 501])
def test_sends_a_form_to_a_token_endpoint_that_accepts_only_forms(servers: list[WebServer], refusal: int) -> None:
    """The form has all parameters of the query, and no URL contains a secret."""
    servers[0].answer = posting(servers[0], refusal=refusal)  # type: ignore[assignment]

    assert read(servers[0], SECRET) == IMAGE
    (post,) = [asked for asked in servers[0].asked if asked.method == "POST"]
    assert (post.path, post.form, post.authorization) == ("/token?a=b", f"{ASKED}&{LOGIN}", None)


def test_gets_an_anonymous_token_with_a_form(servers: list[WebServer]) -> None:
    servers[0].answer = posting(servers[0])  # type: ignore[assignment]

    with pytest.raises(AccessError):
        read(servers[0])
    assert [asked.form for asked in servers[0].asked if asked.method == "POST"] == [ASKED]


def test_sends_the_form_to_the_new_address_of_the_endpoint(servers: list[WebServer]) -> None:
    servers[0].answer = posting(servers[0], moved="/moved/")  # type: ignore[assignment]

    assert read(servers[0], SECRET) == IMAGE
    assert ("POST", "/moved/") in [(asked.method, asked.path) for asked in servers[0].asked]


def test_never_sends_a_form_with_a_password_to_another_host(servers: list[WebServer]) -> None:
    servers[0].answer = posting(servers[0], moved=f"{servers[1].url}/moved")  # type: ignore[assignment]
    servers[1].answer = posting(servers[1])  # type: ignore[assignment]

    with pytest.raises(AccessError):
        read(servers[0], SECRET)

    assert [asked.authorization for asked in servers[1].asked if asked.method == "GET"] == [None] * 2
    assert {asked.form for asked in servers[1].asked if asked.method == "POST"} == {ASKED}


def test_does_not_follow_a_redirect_of_a_form(servers: list[WebServer]) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path.startswith("/token"):
            send(request, 307 if request.command == "POST" else 405, Location=f"{servers[1].url}/")
        else:
            send(request, 401, WWW_Authenticate=f'Bearer realm="{servers[0].url}/token",service="s"')

    servers[0].answer = answer

    with pytest.raises(AccessError, match=r"its token endpoint .* returned 307"):
        read(servers[0], SECRET)
    assert servers[1].asked == []


def test_several_challenge_headers_are_one_list(servers: list[WebServer]) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path.startswith("/token"):
            send(request, 200, b'{"access_token": "t"}')
        elif request.headers.get("Authorization") == "Bearer t":
            send(request, 200, IMAGE, TYPE)
        else:
            request.send_response(401)
            request.send_header("WWW-Authenticate", 'Basic realm="x"')
            request.send_header("WWW-Authenticate", f'Bearer realm="{servers[0].url}/token"')
            request.send_header("Content-Length", "0")
            request.end_headers()

    servers[0].answer = answer

    assert read(servers[0]) == IMAGE


@pytest.mark.parametrize("more", ["", ',scope=""', ',scope="repository:a/b:pull"'])
def test_a_challenge_without_a_scope_gets_a_token_for_this_repository(servers: list[WebServer], more: str) -> None:
    servers[0].answer = guarded(f'Bearer realm="{servers[0].url}/token",service="s"{more}')  # type: ignore[assignment]

    assert read(servers[0]) == IMAGE
    assert "/token?service=s&scope=repository%3Aa%2Fb%3Apull" in servers[0].paths


@pytest.mark.parametrize("scope", ["", ',scope="repository:user/image:pull"', ',scope="registry:catalog:*"'])
@pytest.mark.parametrize("hidden", [400, 401, 403, 404])
def test_asks_a_registry_that_hides_private_images_for_its_challenge(
    servers: list[WebServer], hidden: int, scope: str
) -> None:
    """Its general challenge may have a scope, as that of GHCR has, but never the scope of this repository."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        authorization = request.headers.get("Authorization")
        if request.path == "/v2/":
            send(request, 401, WWW_Authenticate=f'Bearer realm="{servers[0].url}/token",service="s"{scope}')
        elif request.path == "/token?service=s&scope=repository%3Aa%2Fb%3Apull":
            send(request, 200, b'{"token": "t"}' if authorization == BASIC else b'{"token": "anonymous"}')
        else:
            send(request, *((200, IMAGE, TYPE) if authorization == "Bearer t" else (hidden,)))

    servers[0].answer = answer

    assert read(servers[0], SECRET) == IMAGE
    assert servers[0].paths.count("/v2/") == 1


@pytest.mark.parametrize(("status", "error"), [(429, ThrottledError), (503, UnavailableError), (504, UnavailableError)])
def test_an_outage_is_not_mistaken_for_a_missing_challenge(
    servers: list[WebServer], status: int, error: type[Exception]
) -> None:
    """The request is retried, still with the credentials."""
    registry = servers[0]
    registry.answer = guarded('Basic realm="x"', hidden=404)  # type: ignore[assignment]
    working = registry.answer
    registry.answer = lambda request: send(request, status) if request.path == "/v2/" else working(request)
    logins = Logins(lambda *asked: asked[-1]({"SecretString": SECRET}))
    login = logins.for_registry(Repository.parse(f"{registry.host}/a/b"), ARN)
    client = RegistryClient(Transport(urllib3.PoolManager(), Deadline.after(20, SystemClock())), login.auth)

    with pytest.raises(error):
        client.read_tag(login.repository, "1")
    registry.answer = working

    assert client.read_tag(login.repository, "1").content == IMAGE


def test_asks_an_open_registry_without_the_image_only_once_for_a_challenge(servers: list[WebServer]) -> None:
    servers[0].answer = lambda request: send(request, 200 if request.path == "/v2/" else 404)
    logins = Logins(lambda *asked: asked[-1]({"SecretString": SECRET}))
    login = logins.for_registry(Repository.parse(f"{servers[0].host}/a/b"), ARN)
    client = RegistryClient(Transport(urllib3.PoolManager(), Deadline.after(20, SystemClock())), login.auth)

    assert not any(client.has(login.repository, tag) for tag in "123")

    assert servers[0].paths.count("/v2/") == 1
    assert BASIC not in servers[0].authorizations


def test_an_anonymous_reader_of_a_missing_image_asks_for_no_challenge(servers: list[WebServer]) -> None:
    with pytest.raises(NotFoundError):
        read(servers[0])

    assert servers[0].paths == ["/v2/a/b/manifests/1"]


def test_a_foreign_token_endpoint_gets_no_credentials_and_the_error_says_how_to_trust_it(
    servers: list[WebServer],
) -> None:
    registry, other = servers
    registry.answer = guarded(f'Bearer realm="{other.url}/token",service="s"')  # type: ignore[assignment]

    with pytest.raises(AccessError) as failure:
        read(registry, SECRET)

    assert f'add "tokenEndpoint": "{other.host}" to the secret' in failure.value.explain()
    assert other.asked == []


@pytest.mark.parametrize("form", ['"{host}"', '"{url}"', '"{url}/token"', '["auth.example.com", "{host}"]'])
def test_a_token_endpoint_that_the_secret_trusts_gets_them(servers: list[WebServer], form: str) -> None:
    registry, other = servers
    registry.answer = other.answer = guarded(f'Bearer realm="{other.url}/token"')  # type: ignore[assignment]
    trusted = form.format(host=other.host, url=other.url)

    assert read(registry, f'{SECRET[:-1]}, "tokenEndpoint": {trusted}}}') == IMAGE
    assert other.authorizations == [BASIC]


@pytest.mark.parametrize("form", ['"{host}"', '"http://{host}/v1/"', '["ghcr.io", "{host}"]'])
def test_sends_a_secret_to_the_registry_that_it_names(servers: list[WebServer], form: str) -> None:
    servers[0].answer = guarded('Basic realm="x"')  # type: ignore[assignment]
    named = form.format(host=servers[0].host)

    assert read(servers[0], f'{SECRET[:-1]}, "registry": {named}}}') == IMAGE


@pytest.mark.parametrize("named", ['"ghcr.io"', '["docker.io", "127.0.0.1"]', '"evil.127.0.0.1"'])
@pytest.mark.parametrize("secret", [SECRET, '{"token": "s3cret"}'])
def test_sends_a_secret_to_no_other_registry(servers: list[WebServer], secret: str, named: str) -> None:
    with pytest.raises(CredentialsError, match=f"so it is not sent to {servers[0].host}") as failure:
        read(servers[0], f'{secret[:-1]}, "registry": {named}}}')

    assert servers[0].asked == []
    assert "s3cret" not in failure.value.explain()


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (
            '{"username": "me", "password": "s3cret", "Registry": "ghcr.io"}',
            "has an unknown key 'Registry'; keys are case-sensitive",
        ),
        ('{"username": "me", "password": "s3cret", "tokenendpoint": "x.y"}', "has an unknown key 'tokenendpoint'"),
        ('{"username": "me", "password": "a", "password": "s3cret"}', "has the duplicate key 'password'"),
        ('{"username": "me", "password": "s3cret", "registry": "a b"}', "has an invalid host in the key 'registry'"),
        ('{"username": "me", "password": "s3cret", "registry": 7}', "has an invalid host in the key 'registry'"),
        (
            '{"username": "me", "password": "s3cret", "tokenEndpoint": [null]}',
            "has an invalid host in the key 'tokenEndpoint'",
        ),
        ('{"username": "me"}', "has no credentials"),
    ],
)
def test_refuses_an_ambiguous_secret_immediately(servers: list[WebServer], secret: str, said: str) -> None:
    """Waiting cannot help, unlike an AccessDenied of AWS, which may be a permission that was just granted."""
    clock = SteppingClock()
    retry = Retry(Deadline.after(600, clock), Log())

    with pytest.raises(CredentialsError, match=said) as failure:
        retry.call("logging in", lambda: read(servers[0], secret), retry_access_denied=True)

    assert clock.now() == SteppingClock().now()
    assert "s3cret" not in failure.value.explain()
    assert servers[0].asked == []


def test_the_error_says_that_the_credentials_were_refused(servers: list[WebServer]) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path.startswith("/token") and "Authorization" not in request.headers:
            send(request, 200, b'{"token": "anonymous"}')
        else:
            send(request, 401, WWW_Authenticate=f'Bearer realm="{servers[0].url}/token"')

    servers[0].answer = answer

    with pytest.raises(AccessError) as failure:
        read(servers[0], SECRET)

    assert f"check the credentials in the secret: the token endpoint {servers[0].host} returned 401 for them" in str(
        failure.value.explain()
    )
    assert "s3cret" not in failure.value.explain()


@pytest.mark.parametrize("status", [400, 401, 403])
def test_the_error_says_so_even_if_there_are_no_anonymous_tokens(servers: list[WebServer], status: int) -> None:
    host = servers[0].host
    servers[0].answer = lambda request: (
        send(request, status)
        if request.path.startswith("/token")
        else send(request, 401, WWW_Authenticate=f'Bearer realm="{servers[0].url}/token"')
    )

    with pytest.raises(AccessError) as failure:
        read(servers[0], SECRET)
    said = failure.value.explain()
    assert f"its token endpoint {host} returned {status}" in said
    assert f"check the credentials in the secret: the token endpoint {host} returned {status} for them" in said

    with pytest.raises(AccessError) as failure:
        read(servers[0])
    assert "check the reference, and whether the registry requires credentials" in failure.value.explain()


def test_redirects_of_a_token_endpoint_get_credentials_on_its_own_host_only(
    servers: list[WebServer],
) -> None:
    registry, other = servers

    def answer(request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        if path == "/token":
            send(request, 301, Location="/token/")
        elif path == "/token/":
            send(request, 302, Location=f"{other.url}/other")
        else:
            send(request, 401, WWW_Authenticate=f'Bearer realm="{registry.url}/token"')

    registry.answer = answer

    with pytest.raises(ImageError):
        read(registry, SECRET)

    assert ("/token/", BASIC) in [(each.path, each.authorization) for each in registry.asked]
    assert {each.authorization for each in other.asked} == {None}


def test_a_refused_token_of_a_secret_is_not_remembered(servers: list[WebServer]) -> None:
    """The next invocation uses the token of a secret again, even if a registry refused it once."""
    logins = Logins(lambda *asked: asked[-1]({"SecretString": "t0ken"}))
    repository = Repository.parse(f"{servers[0].host}/a/b")
    transport = Transport(urllib3.PoolManager(), Deadline.after(20, SystemClock()))
    servers[0].answer = lambda request: (
        send(request, 200, b'{"token": "anonymous"}')
        if request.path == "/token"
        else send(request, 401, WWW_Authenticate=f'Bearer realm="{servers[0].url}/token"')
    )
    with pytest.raises(AccessError):
        RegistryClient(transport, logins.for_registry(repository, ARN).auth).read(repository, Digest.of(IMAGE))
    servers[0].answer = lambda request: (
        send(request, 200, IMAGE, TYPE) if request.headers["Authorization"] == "Bearer t0ken" else send(request, 403)
    )

    found = RegistryClient(transport, logins.for_registry(repository, ARN).auth).read(repository, Digest.of(IMAGE))

    assert found.content == IMAGE


@pytest.mark.parametrize(
    ("secret", "token"), [("1234567890", "1234567890"), ('"ghp_x"', "ghp_x"), (" ghp_x\n", "ghp_x"), ("a.b", "a.b")]
)
def test_a_secret_can_be_only_a_token(servers: list[WebServer], secret: str, token: str) -> None:
    servers[0].answer = lambda request: (
        send(request, 200, IMAGE, TYPE) if request.headers["Authorization"] == f"Bearer {token}" else send(request, 403)
    )

    assert read(servers[0], secret) == IMAGE


@pytest.mark.parametrize(
    ("secret", "key"),
    [('{"token": "x\\n"}', "token"), ('{"username": "me", "password": 1234}', "password"), ('{"token": 7}', "token")],
)
def test_names_an_invalid_value_of_a_secret(servers: list[WebServer], secret: str, key: str) -> None:
    with pytest.raises(CredentialsError, match=f"has no credentials: the value of {key} is not a string"):
        read(servers[0], secret)

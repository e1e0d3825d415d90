"""Which hosts may receive credentials, and which error codes are known."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_handler.aws.errcode import ERRORS
from lambda_handler.errors import AccessError, ImageError
from lambda_handler.oci import RegistryHost, Repository
from lambda_handler.registry.auth import RegistryAuth
from lambda_handler.registry.challenge import Challenge
from lambda_handler.registry.logins import Logins

OPERATIONS = (
    "BatchCheckLayerAvailability",
    "DescribeImages",
    "DescribeRegistries",
    "DescribeRepositories",
    "GetAuthorizationToken",
    "PutImage",
)


def test_knows_every_error_of_the_operations_it_calls() -> None:
    model = botocore.session.get_session().get_service_model("ecr-public")
    shapes = {shape.name for operation in OPERATIONS for shape in model.operation_model(operation).error_shapes}

    assert shapes - ERRORS.keys() == set()


@pytest.mark.parametrize(
    ("registry", "realm", "trusted"),
    [
        ("public.ecr.aws", "https://public.ecr.aws/token/", True),
        ("ghcr.io", "https://ghcr.io/token", True),
        ("docker.io", "https://auth.docker.io/token", True),
        ("registry.gitlab.com", "https://gitlab.com/jwt/auth", True),
        ("127.0.0.1:5000", "http://127.0.0.1:5000/token", True),
        ("public.ecr.aws", "https://public.ecr.aws.evil.example/token", False),
        ("public.ecr.aws", "https://evil.example/public.ecr.aws", False),
        ("gitlab.com", "https://registry.gitlab.com/token", False),
        ("registry.gitlab.com", "https://com/token", False),
        ("notdocker.io", "https://auth.docker.io/token", False),
        ("127.0.0.1:5000", "http://127.0.0.1:5001/token", False),
    ],
)
def test_credentials_go_only_to_the_site_of_the_registry(registry: str, realm: str, trusted: bool) -> None:  # noqa: FBT001 - a table
    host = RegistryHost.parse(registry)

    assert Challenge.parse(f'Bearer realm="{realm}",service="x"', host).may_have_credentials_of(host) is trusted


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        ("public.ecr.aws", "http://169.254.169.254/latest/"),
        ("public.ecr.aws", "https://127.0.0.1/token"),
        ("public.ecr.aws", "https://localhost/token"),
        ("public.ecr.aws", "file:///etc/passwd"),
        ("public.ecr.aws", "https://user:password@public.ecr.aws/token"),
        ("public.ecr.aws", ""),
        ("127.0.0.1:5000", "http://example.com/token"),
    ],
)
def test_refuses_an_unsafe_token_endpoint(registry: str, realm: str) -> None:
    with pytest.raises(AccessError):
        Challenge.parse(f'Bearer realm="{realm}"', RegistryHost.parse(registry))


def test_uses_https_for_a_token_endpoint_on_the_registry_itself() -> None:
    """A registry behind a proxy may not know that its clients use https."""
    challenge = Challenge.parse('Bearer realm="http://public.ecr.aws/token/"', RegistryHost.parse("public.ecr.aws"))

    assert challenge.realm == "https://public.ecr.aws/token/"


@given(st.text(max_size=100))
def test_any_challenge_is_parsed_or_refused(header: str) -> None:
    with suppress(ImageError):
        Challenge.parse(header, RegistryHost.parse("public.ecr.aws"))


def test_no_repr_contains_a_token() -> None:
    assert "s3cret" not in repr(RegistryAuth(RegistryHost("host"), lambda: None, current="s3cret"))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
        "x123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.evil.com",
        "public.ecr.aws.evil.example",
    ],
)
def test_the_login_of_the_role_never_goes_to_a_lookalike_of_an_ecr_host(host: str) -> None:
    def call(*asked: object) -> NoReturn:
        message = f"no credentials may be requested here: {asked}"
        raise AssertionError(message)

    denied: Any = call
    login = Logins(denied).for_registry(Repository.parse(f"{host}/dkr.ecr.us-east-1.amazonaws.com/public.ecr.aws"), "")

    assert login.auth.password() is None


@pytest.mark.parametrize(
    ("host", "where"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
        ("123456789012.dkr-ecr-fips.us-east-2.on.aws", "us-east-2"),
    ],
)
def test_asks_for_the_login_of_a_private_ecr_host_in_its_region(host: str, where: str) -> None:
    """The image is then read from the host that the response names."""
    asked: list[tuple[str, str]] = []

    def call(service: str, region: str, operation: str, parameters: Mapping[str, object], read: Any) -> Any:
        assert (operation, parameters) == ("GetAuthorizationToken", {"registryIds": ["123456789012"]})
        asked.append((service, region))
        return read({"authorizationData": [{"proxyEndpoint": "https://elsewhere.example"}]})

    login = Logins(call).for_registry(Repository.parse(f"{host}/in/side"), "")

    assert asked == [("ecr", where)]
    assert str(login.repository) == "elsewhere.example/in/side"


@pytest.mark.parametrize(
    ("secret", "password", "token"),
    [
        ('{"username": "me", "password": "pass"}', "me:pass", ""),
        ('{"token": "abc"}', None, "abc"),
        ("abc\n", None, "abc"),
    ],
)
def test_reads_a_secret(secret: str, password: str | None, token: str) -> None:
    logins = Logins(lambda *asked: asked[-1]({"SecretString": secret}))

    auth = logins.for_registry(
        Repository.parse("ghcr.io/a"), "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-1"
    ).auth

    assert (auth.password(), auth.current) == (password, token)


@pytest.mark.parametrize(
    "secret", ["", "[]", "{}", '{"username": "me"}', '{"token": ""}', "ünprintable\u0007", '{"token": 7}']
)
def test_refuses_a_secret_without_credentials_and_does_not_reveal_it(secret: str) -> None:
    logins = Logins(lambda *asked: asked[-1]({"SecretString": secret}))

    with pytest.raises(AccessError, match="has no credentials") as failure:
        logins.for_registry(Repository.parse("ghcr.io/a"), "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-1")

    assert len(secret) < 3 or secret not in failure.value.explain()

"""Names of registries: which of them are the same, who owns them, and which host serves them."""

from __future__ import annotations

import pytest

from lambda_handler.oci import Reference, RegistryHost, Repository


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("registry.hub.docker.com", "docker.io"),
        ("public.ecr.aws", "public.ecr.aws"),
        ("ecr-public.aws.com", "public.ecr.aws"),
        ("ECR-Public.AWS.com", "public.ecr.aws"),
        ("ecr-public.aws.com:443", "public.ecr.aws"),
        ("ghcr.io:443", "ghcr.io"),
        ("ghcr.io:8443", "ghcr.io:8443"),
        ("ecr-public.aws.com:8443", "ecr-public.aws.com:8443"),
        ("127.0.0.1:443", "127.0.0.1:443"),
        ("ecr-public.aws.com.evil.example", "ecr-public.aws.com.evil.example"),
        ("notdocker.io", "notdocker.io"),
    ],
)
def test_names_of_one_registry_have_one_canonical_name(text: str, canonical: str) -> None:
    assert str(RegistryHost.parse(text).canonical) == canonical


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("docker.io/nginx:1.27", "https://registry-1.docker.io/v2/library/nginx"),
        ("docker.io/library/nginx:1.27", "https://registry-1.docker.io/v2/library/nginx"),
        ("index.docker.io/nginx:1.27", "https://registry-1.docker.io/v2/library/nginx"),
        ("docker.io/bitnami/redis:7", "https://registry-1.docker.io/v2/bitnami/redis"),
        ("docker.io:443/nginx:1", "https://registry-1.docker.io/v2/library/nginx"),
        ("ghcr.io/nginx:1", "https://ghcr.io/v2/nginx"),
        ("ecr-public.aws.com/acme/agent:1", "https://ecr-public.aws.com/v2/acme/agent"),
        ("127.0.0.1:5000/nginx:1", "http://127.0.0.1:5000/v2/nginx"),
    ],
)
def test_the_url_of_a_repository_has_its_full_name(reference: str, url: str) -> None:
    parsed = Reference.parse(reference)

    assert parsed.repository.url == url
    assert str(parsed) == reference


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("docker.io/nginx", "repository:library/nginx:pull"),
        ("ghcr.io/acme/agent", "repository:acme/agent:pull"),
        ("public.ecr.aws/acme/agent", "aws"),
        ("ecr-public.aws.com/acme/agent", "aws"),
    ],
)
def test_a_token_has_the_scope_of_its_repository(text: str, scope: str) -> None:
    assert Repository.parse(text).scope == scope


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
        ("123456789012.dkr-ecr-fips.us-east-2.on.aws", "us-east-2"),
        ("123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "cn-north-1"),
        ("123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        ("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
        ("123456789012.DKR.ecr.eu-west-1.amazonaws.com:443", "eu-west-1"),
    ],
)
def test_reads_account_and_region_from_the_host_of_private_ecr(host: str, region: str) -> None:
    found = RegistryHost.parse(host).private_ecr

    assert found is not None
    assert (found.account, found.region) == ("123456789012", region)


@pytest.mark.parametrize(
    "host",
    [
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
        "x123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com:8443",
        "123456789012.dkr-ecr.eu-west-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.on.aws",
        "12345.dkr.ecr.eu-west-1.amazonaws.com",
        "123456789012.dkr.ecr.evil.example.amazonaws.com",
    ],
)
def test_a_lookalike_of_a_private_ecr_host_gets_no_login(host: str) -> None:
    assert RegistryHost.parse(host).private_ecr is None

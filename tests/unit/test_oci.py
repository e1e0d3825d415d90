"""The grammar of names, digests, platforms and manifests."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_handler.errors import ImageError, IntegrityError, InvalidManifestError
from lambda_handler.oci import (
    MANIFEST_MAX_BYTES,
    Digest,
    Manifest,
    ManifestMediaType,
    Platform,
    Reference,
    RegistryHost,
    Repository,
    parse_registry_id,
    parse_repository_name,
    parse_tag,
)
from lambda_handler.oci.assemble import assemble_index, filter_index
from lambda_handler.oci.reference import parse_declared_name
from lambda_handler.oci.version import Version

HEX = "a" * 64
INDEX = ManifestMediaType.OCI_INDEX.value
OCI = ManifestMediaType.OCI_MANIFEST.value


@pytest.mark.parametrize("text", ["1", "latest", "_x", "1.4.2-rc.1_A", "v" * 128])
def test_accepts_a_tag(text: str) -> None:
    assert parse_tag(text) == text


@pytest.mark.parametrize(
    "text", ["", "-a", ".a", "a b", "a/b", "a:b", "ü", "é1", " ab", "ab\n", "!ab", "a+b", "v" * 129]
)
def test_refuses_a_tag(text: str) -> None:
    with pytest.raises(ImageError, match="is not a tag; expected 1 to 128 letters"):
        parse_tag(text)


@pytest.mark.parametrize("text", ["ab", "acme/agent", "a1/b_c/d.e-f", "x" * 205])
def test_accepts_a_repository_name(text: str) -> None:
    assert parse_repository_name(text) == text


@pytest.mark.parametrize(
    "text", ["a", "Acme/agent", "acme//agent", "/acme", "acme/", "a__b", "a.-b", "acme:1", "x" * 206]
)
def test_refuses_a_repository_name(text: str) -> None:
    with pytest.raises(ImageError, match="is not the name of an ECR Public repository"):
        parse_repository_name(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/acme/agent",
            "is an address in private ECR, not the name of an ECR Public repository",
        ),
        ("123456789012.dkr-ecr.eu-west-1.on.aws/acme/agent", "use the private image as the source"),
        ("ghcr.io/acme/agent", "in the registry 'ghcr.io', not the name of an ECR Public repository; expected a name"),
        ("eu.gcr.io/acme/agent", "without a host, e.g. 'acme/agent'"),
        ("registry-1.docker.io/library/nginx", "in the registry 'registry-1.docker.io'"),
        ("localhost:5000/acme/agent", "in the registry 'localhost:5000'"),
        ("public.ecr.aws/acme/agent", "(without registry host and alias)"),
        ("ecr-public.aws.com/acme/agent", "without registry host and alias"),
        ("123456789012.dkr-ecr-fips.us-east-2.on.aws/acme/agent", "is an address in private ECR"),
        ("registry.hub.docker.com/library/nginx", "in the registry 'registry.hub.docker.com'"),
        ("Acme", "is not the name of an ECR Public repository"),
    ],
)
def test_options_refuse_an_address_as_a_repository_name(text: str, said: str) -> None:
    with pytest.raises(ImageError) as failure:
        parse_declared_name(text)

    assert said in failure.value.message


@pytest.mark.parametrize(
    "text", ["acme/agent", "a.b/c", "ghcr.io", "acme/ghcr.io", "example.com/agent", "docker.iox/a"]
)
def test_a_name_with_dots_is_not_mistaken_for_an_address(text: str) -> None:
    assert parse_declared_name(text) == text


def test_names_that_look_like_addresses_can_still_be_read() -> None:
    assert parse_repository_name("ghcr.io/acme/agent") == "ghcr.io/acme/agent"
    assert str(Reference.parse("bitnami/redis:7")) == "bitnami/redis:7"


@pytest.mark.parametrize("text", ["123456789012", "acme", "p8v8e7e5", "a1.b-c_d"])
def test_accepts_a_registry(text: str) -> None:
    assert parse_registry_id(text) == text


@pytest.mark.parametrize("text", ["", "1234567890123", "12345", "Acme", "a", "a..b", "public.ecr.aws/acme", "x" * 51])
def test_refuses_a_registry(text: str) -> None:
    with pytest.raises(ImageError, match="is not a registry"):
        parse_registry_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        HEX,
        f"sha256:{HEX.upper()}",
        f"sha512:{HEX}",
        f"sha256:{HEX}0",
        f"sha256:{HEX}\n",
        f" sha256:{HEX}",
    ],
)
def test_refuses_a_digest(text: str) -> None:
    with pytest.raises(ImageError, match="is not a digest; expected 'sha256:' and 64"):
        Digest.parse(text)


@given(st.binary())
def test_a_digest_round_trips(content: bytes) -> None:
    assert Digest.parse(str(Digest.of(content))) == Digest.of(content)


@pytest.mark.parametrize("text", ["linux/amd64", "linux/arm64/v8", "windows/amd64"])
def test_a_platform_round_trips(text: str) -> None:
    assert str(Platform.parse(text)) == text


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "Linux/amd64", "linux/arm/v7/x", "linux/arm v7"])
def test_refuses_a_platform(text: str) -> None:
    with pytest.raises(ImageError, match="is not a platform"):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("has", "wants", "satisfied"),
    [
        ("linux/arm64", "linux/arm64", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v9", "linux/arm64/v8", False),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm", "linux/arm/v6", False),
        ("linux/amd64", "linux/amd64/v1", True),
        ("linux/amd64", "linux/amd64/v3", False),
        ("linux/amd64", "windows/amd64", False),
    ],
)
def test_a_platform_satisfies_another(has: str, wants: str, satisfied: bool) -> None:  # noqa: FBT001 - a table
    assert Platform.parse(has).satisfies(Platform.parse(wants)) is satisfied


@pytest.mark.parametrize(
    "text",
    [
        "docker.io/library/nginx:1.27",
        f"localhost:5000/arch@sha256:{HEX}",
        f"ghcr.io/acme/agent:1@sha256:{HEX}",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/a/b:tag",
        "[::1]:5000/a:1",
    ],
)
def test_a_reference_round_trips(text: str) -> None:
    assert str(Reference.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nginx",
        "nginx:1.27",
        "localhost:5000/a",
        "host/a",
        "host//a:1",
        "https://host/a:1",
        "host/A:1",
        "host/a:1:2",
        "host/a@x",
    ],
)
def test_refuses_a_reference(text: str) -> None:
    with pytest.raises(ImageError):
        Reference.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "https://ghcr.io/acme/agent:1",
            "'https://ghcr.io/acme/agent' is not a repository; omit 'https://': 'ghcr",
        ),
        ("ghcr.io/Acme/agent:1", "the path must be in lower case: 'ghcr.io/acme/agent'"),
        ("ghcr.io/acme agent:1", "expected host/path, e.g."),
        ("ghcr.io/acme:1/agent:1", "expected host/path, without tag and digest, e.g."),
    ],
)
def test_the_message_for_an_invalid_reference_names_the_mistake(text: str, said: str) -> None:
    with pytest.raises(ImageError) as failure:
        Reference.parse(text)

    assert said in failure.value.message


@pytest.mark.parametrize("text", ["bitnami/redis:7", f"bitnami/redis@sha256:{HEX}", f"bitnami/redis:7@sha256:{HEX}"])
def test_options_refuse_a_short_name_of_docker_hub(text: str) -> None:
    with pytest.raises(ImageError) as failure:
        Reference.parse_declared(text)

    assert "'bitnami' has neither a dot nor a port" in failure.value.message
    assert failure.value.message.endswith("for Docker Hub, write 'docker.io/bitnami/redis'")


@pytest.mark.parametrize("host", ["docker.io", "localhost", "registry:5000", "[::1]", "10.0.0.1"])
def test_a_dot_a_port_or_localhost_marks_a_host(host: str) -> None:
    assert str(Reference.parse_declared(f"{host}/acme/agent:1")) == f"{host}/acme/agent:1"


@pytest.mark.parametrize(
    ("host", "foreign", "private"),
    [
        ("public.ecr.aws", False, False),
        ("registry.example.com", False, False),
        ("localhost:5000", False, False),
        ("GHCR.io", True, False),
        ("index.docker.io", True, False),
        ("europe-docker.pkg.dev", True, False),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com", True, True),
        ("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", True, True),
        ("ghcr.io.example.com", False, False),
    ],
)
def test_recognizes_the_kind_of_a_registry_by_its_host(host: str, foreign: bool, private: bool) -> None:  # noqa: FBT001 - a table
    parsed = RegistryHost.parse(host)

    assert (parsed.is_foreign, parsed.is_private_ecr) == (foreign, private)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("public.ecr.aws", "https://public.ecr.aws"),
        ("PUBLIC.ecr.aws:443", "https://public.ecr.aws:443"),
        ("localhost", "http://localhost"),
        ("127.0.0.1:80", "http://127.0.0.1:80"),
        ("[::1]:80", "http://[::1]:80"),
        ("localhost.evil.example", "https://localhost.evil.example"),
        ("127.0.0.1.evil.example", "https://127.0.0.1.evil.example"),
        ("docker.io", "https://registry-1.docker.io"),
    ],
)
def test_uses_http_only_for_this_machine(host: str, url: str) -> None:
    assert RegistryHost.parse(host).url == url


@pytest.mark.parametrize(
    "text", ["", "a b", "a@b", "user:pass@host", "host:", "host:0", "host:65536", "host/path", "-a"]
)
def test_refuses_a_host(text: str) -> None:
    with pytest.raises(ImageError):
        RegistryHost.parse(text)


def test_a_repository_round_trips() -> None:
    assert str(Repository.parse("public.ecr.aws/acme/agent")) == "public.ecr.aws/acme/agent"


def entry(number: int, platform: str = "", **more: object) -> dict[str, object]:
    os, _, architecture = platform.partition("/")
    about = {"platform": {"os": os, "architecture": architecture}} if platform else {}
    return {"mediaType": OCI, "digest": f"sha256:{number:064x}", "size": 7, **about, **more}


def index(*entries: dict[str, object]) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


@pytest.mark.parametrize("space", [b"", b" ", b"\r\n", b"\n\n"])
def test_a_manifest_keeps_its_bytes(space: bytes) -> None:
    content = space + index(entry(1, "linux/amd64")) + space

    manifest = Manifest.parse(content)

    assert manifest.content == content
    assert manifest.digest == Digest.of(content)
    assert manifest.text.encode() == content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not valid JSON"),
        (b"{", "is not valid JSON"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"[" * 90_000, "is not valid JSON"),
        (b"[" * 200_000, "more than 100000 values"),
        (b"[" + b"{}," * 60_000 + b"0]", "more than 100000 values"),
        (b'["' + b"," * 100_001 + b'"]', "more than 100000 values"),
        (b'{"a": NaN}', "NaN is not a JSON value"),
        (b"null", "is a JSON NoneType; expected an object"),
        (b"{}", "has no mediaType"),
        (b'{"mediaType": 7}', "mediaType is 7; expected a string"),
        (b'{"mediaType": "text/plain"}', "'text/plain' is not the media type of a manifest"),
        (index()[:-1] + b', "config": {}}', "but also config, as only an image manifest has"),
        (index().replace(b"2", b"1", 1), "schemaVersion is 1; expected 2"),
        (index({**entry(1), "size": -1}), "manifests[0].size is -1; expected a size in bytes"),
        (index({**entry(1), "size": True}), "manifests[0].size is True"),
        (index({**entry(1), "annotations": {"a": 1}}), "manifests[0].annotations.a is 1; expected a string"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "has schema 1 of Docker, which ECR Public does not store"),
        (index({**entry(1), "digest": "sha256:1"}), "manifests[0].digest: 'sha256:1' is not a digest"),
        (index({"size": 1}), "manifests[0].mediaType is missing"),
        (index({**entry(1), "platform": {"os": 1}}), "manifests[0].platform.os is 1; expected a string"),
        (f'{{"schemaVersion": 2, "mediaType": "{OCI}"}}'.encode(), "has no config"),
    ],
)
def test_refuses_an_invalid_manifest_and_names_the_field(content: bytes, said: str) -> None:
    with pytest.raises(InvalidManifestError) as failure:
        Manifest.parse(content)

    assert said in str(failure.value)


@pytest.mark.parametrize(
    "platform",
    [{}, {"os": "", "architecture": ""}, {"os": None, "architecture": None}, {"architecture": "amd64"}, None],
)
def test_a_platform_without_a_name_becomes_none(platform: object) -> None:
    """Tools in Go write such a platform for an artifact, and all of them read it."""
    manifest = Manifest.parse(index({**entry(1), "platform": platform}, entry(2, "linux/amd64")))

    assert [child.image_platform for child in manifest.children] == [None, Platform("linux", "amd64")]


def test_an_annotation_without_a_value_becomes_empty() -> None:
    manifest = Manifest.parse(index({**entry(1), "annotations": {"a": None, "b": "c"}}))

    assert manifest.children[0].annotations == {"a": "", "b": "c"}


def test_refuses_a_manifest_above_four_mib() -> None:
    with pytest.raises(InvalidManifestError, match="4 MiB"):
        Manifest.parse(index() + b" " * MANIFEST_MAX_BYTES)


def test_refuses_an_unexpected_digest() -> None:
    with pytest.raises(IntegrityError, match="not the expected"):
        Manifest.parse(index(), expected=Digest.of(b""))


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_parsed_as_a_manifest_or_refused(content: bytes) -> None:
    with suppress(ImageError):
        Manifest.parse(content, INDEX)


KEYS = [
    "mediaType",
    "manifests",
    "config",
    "layers",
    "digest",
    "size",
    "platform",
    "os",
    "annotations",
    "urls",
    "subject",
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(KEYS), json_values, max_size=6))
def test_any_json_is_parsed_as_a_manifest_or_refused(data: dict[str, object]) -> None:
    with suppress(ImageError):
        Manifest.parse(json.dumps({"schemaVersion": 2, **data}).encode(), OCI)


PARTS = Manifest.parse(index(entry(1, "linux/amd64"), entry(2, "linux/arm64"), entry(3, "unknown/unknown"))).children


@given(st.permutations(PARTS))
def test_the_order_of_entries_does_not_change_the_index(parts: list[object]) -> None:
    assert assemble_index(parts) == assemble_index(PARTS)  # type: ignore[arg-type]


def test_an_entry_keeps_all_its_fields() -> None:
    about = {"os": "windows", "architecture": "amd64", "os.version": "10.0.1", "os.features": ["win32k"]}
    whole = Manifest.parse(index({**entry(1), "platform": about, "annotations": {"a": "b"}, "artifactType": "x/y"}))

    assert assemble_index(whole.children).children == whole.children


def test_filtering_nothing_keeps_the_bytes_of_an_index() -> None:
    whole = Manifest.parse(index(entry(1, "linux/amd64"), entry(2, "linux/arm64")))

    assert filter_index(whole, lambda _: True) is whole


def test_a_filtered_index_keeps_its_own_fields() -> None:
    content = json.loads(index(entry(1, "linux/amd64"), entry(2, "linux/arm64", custom=[1])))
    whole = Manifest.parse(json.dumps({**content, "annotations": {"a": "b"}, "extension": {"x": 1}}).encode())

    reduced = json.loads(filter_index(whole, lambda platform: platform.architecture == "arm64").content)

    assert reduced["manifests"] == [entry(2, "linux/arm64", custom=[1])]
    assert (reduced["annotations"], reduced["extension"]) == ({"a": "b"}, {"x": 1})


@pytest.mark.parametrize("text", ["0.0.0", "1.9.1", "1.0.0-alpha.1", "1.0.0-x-y-z.--", "1.0.0+001", "1.0.0-rc.1+a.b-c"])
def test_reads_and_writes_a_version(text: str) -> None:
    assert str(Version.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "1", "1.0", "1.0.0.0", "v1.0.0", "1.0.0-", "1.0.0-01", "1.0.0-a..b", "1.0.0+", "1.0.0+a+b", "1.0.0\n",
             "\u0661.0.0", "1.0.0-" + "a" * 128],
)  # fmt: skip
def test_refuses_a_version(text: str) -> None:
    with pytest.raises(ImageError, match="is not a semantic version; expected MAJOR"):
        Version.parse(text)


def test_versions_have_the_precedence_of_semver() -> None:
    ascending = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
                 "1.0.0-rc.1", "1.0.0", "1.0.1-rc.1", "1.0.1", "1.9.0", "1.10.0", "2.0.0", "10.0.0"]  # fmt: skip

    shuffled = sorted(map(Version.parse, reversed(ascending)), key=lambda version: version.precedence)
    assert [str(version) for version in shuffled] == ascending
    assert Version.parse("1.0.0+2").precedence == Version.parse("1.0.0+1").precedence

"""The property codec: the handler reads what the template says, although CloudFormation turns values into strings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_handler.errors import InvalidPropertiesError
from lambda_handler.oci import Digest, Manifest, Platform
from lambda_handler.rules.expected_digest import ExpectedDigest
from lambda_handler.rules.immutable_tags import ImmutableTags
from lambda_handler.rules.required_platforms import RequiredPlatforms
from lambda_handler.sources.digest import DigestSource
from lambda_handler.sources.manifest import ManifestSource
from lambda_handler.sources.tag import TagSource
from lambda_handler.spec import Declaration, Property, decode, encode
from tests.protocol.cloudformation import as_sent

DIGEST = "sha256:" + "a" * 64
SMALLEST: dict[str, Any] = {"RepositoryName": "acme/agent", "Source": {"Digest": DIGEST}}
INDEX = "application/vnd.oci.image.index.v1+json"
BODY = f'{{ "schemaVersion": 2,\r\n\t"mediaType": "{INDEX}", "manifests": [], "annotations": {{"ü": "日本"}} }}\n'


def problems(**properties: object) -> tuple[str, ...]:
    with pytest.raises(InvalidPropertiesError) as failure:
        decode(as_sent({**SMALLEST, **properties}))
    return failure.value.problems


def test_a_minimal_declaration_gets_the_defaults() -> None:
    assert decode(as_sent(SMALLEST)) == Declaration(
        repository_name="acme/agent", source=DigestSource(Digest.parse(DIGEST))
    )


def test_reads_every_property() -> None:
    declaration = decode(
        as_sent(
            {
                **SMALLEST,
                "RegistryId": "acme",
                "ImageTags": ["1.4", "latest"],
                "ImageDigest": DIGEST,
                "Platforms": ["linux/amd64"],
                "RequiredPlatforms": ["linux/arm/v7"],
                "IncludeReferrers": True,
                "OnTagRemoved": "Keep",
                "OnDelete": "Keep",
                "ImmutableTags": [],
                "Refresh": "monday",
            }
        )
    )

    assert declaration == Declaration(
        registry_id="acme",
        repository_name="acme/agent",
        tags=("1.4", "latest"),
        include_referrers=True,
        platforms=(Platform("linux", "amd64"),),
        rules=(
            ExpectedDigest(Digest.parse(DIGEST)),
            RequiredPlatforms((Platform("linux", "arm", "v7"),)),
            ImmutableTags(()),
        ),
        source=DigestSource(Digest.parse(DIGEST)),
    )


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ({"Digest": DIGEST}, DigestSource(Digest.parse(DIGEST))),
        ({"Tag": "build-77"}, TagSource("build-77")),
        ({"Manifest": {"Body": BODY}}, ManifestSource(inline=Manifest.parse(BODY.encode()))),
        (
            {"Manifest": {"Body": BODY, "MediaType": INDEX}},
            ManifestSource(inline=Manifest.parse(BODY.encode(), INDEX)),
        ),
        ({"Manifest": {"Bucket": "b", "Key": "k"}}, ManifestSource(bucket="b", key="k")),
    ],
    ids=str,
)
def test_accepts_a_source(source: dict[str, object], read: object) -> None:
    assert decode(as_sent({**SMALLEST, "Source": source})).source == read


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("build-77", "Source: is 'build-77'; expected an object"),
        ({}, "Source: has 0 keys; expected exactly one of Digest, Tag, Manifest, Image, Archive, Index"),
        ({"Repository": "x"}, "Source: has unknown keys: Repository; allowed: Archive, Digest, Image, Index, Manifest"),
        ({"Digest": ""}, "Source.Digest: is ''; expected a string"),
        ({"Digest": [DIGEST]}, "expected a string"),
        ({"Tag": "a b"}, "Source.Tag: 'a b' is not a tag; expected 1 to 128 letters"),
        ({"Manifest": BODY}, "Source.Manifest: is '{ "),
        ({"Manifest": {}}, "Source.Manifest: expected either Body, or Bucket and Key"),
        ({"Manifest": {"Bucket": "b"}}, "Source.Manifest: expected either Body, or Bucket and Key"),
        ({"Manifest": {"Body": BODY, "Bucket": "b", "Key": "k"}}, "expected either Body, or Bucket and Key"),
        ({"Manifest": {"Body": ""}}, "Source.Manifest.Body: is ''; expected a string"),
        (
            {"Manifest": {"Text": BODY}},
            "Source.Manifest: has unknown keys: Text; allowed: Body, Bucket, Key, MediaType",
        ),
    ],
    ids=str,
)
def test_refuses_an_invalid_source_and_names_the_property(source: object, said: str) -> None:
    (problem,) = problems(Source=source)

    assert said in problem


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"ImageTags": "latest"}, "ImageTags: is 'latest'; expected a list"),
        ({"ImageTags": [["latest"]]}, "ImageTags[0]: is ['latest']; expected a string"),
        ({"ImageTags": [str(n) for n in range(1001)]}, "ImageTags: has 1001 tags; ECR Public allows 1000"),
        ({"RegistryId": "public.ecr.aws/acme"}, "RegistryId: 'public.ecr.aws/acme' is not a registry; expected an"),
        ({"RegistryId": 1}, "RegistryId: '1' is not a registry"),
        ({"RepositoryName": "public.ecr.aws/acme/Agent"}, "(without registry host and alias)"),
        ({"ImageDigest": "latest"}, "ImageDigest: 'latest' is not a digest; expected 'sha256:' and 64"),
        ({"Platforms": ["arm64"]}, "Platforms[0]: 'arm64' is not a platform; expected os/architecture[/variant]"),
        ({"OnDelete": "Remove"}, "OnDelete: is 'Remove'; allowed: Keep, Delete"),
        ({"OnTagRemoved": True}, "OnTagRemoved: is 'true'; allowed: Keep, Untag"),
        ({"IncludeReferrers": "perhaps"}, "IncludeReferrers: is 'perhaps'; allowed: true, false"),
        ({"imageTags": ["1"]}, "'imageTags': is not a property of Custom::ECRPublicImage; known: RegistryId, "),
    ],
    ids=str,
)
def test_refuses_an_invalid_property_and_says_what_is_allowed(properties: dict[str, object], said: str) -> None:
    (problem,) = problems(**properties)

    assert said in problem


def test_a_tag_that_is_a_number_or_a_boolean_becomes_a_string() -> None:
    """``tags: [1.4, 2, true]`` in YAML reach the handler as strings."""
    assert decode(as_sent({**SMALLEST, "ImageTags": [1.4, 2, True]})).tags == ("1.4", "2", "true")


def test_accepts_properties_that_cloudformation_adds() -> None:
    assert "ServiceToken" in as_sent(SMALLEST)
    assert "ServiceTimeout" in as_sent(SMALLEST)
    decode(as_sent(SMALLEST))


def test_null_means_that_a_property_is_not_set() -> None:
    decode({**SMALLEST, "RegistryId": None, "ImageTags": None, "Refresh": None})


@given(st.text(st.characters(codec="utf-8"), max_size=30), st.sampled_from(["", "\n", "\r\n", "  \n\t"]))
def test_the_body_of_a_manifest_keeps_every_byte(annotation: str, end: str) -> None:
    escaped = annotation.encode("unicode_escape").hex()
    raw = "".join(character for character in annotation if character >= " " and character not in '"\\')
    body = f'{{"schemaVersion": 2, "manifests": [], "annotations": {{"{escaped}": "{raw}"}}}}{end}'

    source = decode(as_sent({**SMALLEST, "Source": {"Manifest": {"Body": body, "MediaType": INDEX}}})).source

    assert isinstance(source, ManifestSource)
    assert source.inline is not None
    assert source.inline.content == body.encode()


def test_refuses_a_body_that_is_not_unicode() -> None:
    """JSON can contain half of a surrogate pair, which cannot be encoded."""
    (problem,) = problems(Source={"Manifest": {"Body": '{"schemaVersion": 2, "x": "\ud800"}', "MediaType": INDEX}})

    assert problem.startswith("Source.Manifest.Body: ")


def test_writes_properties_in_the_order_of_the_contract_without_unset_ones() -> None:
    written = encode(
        {
            Property.SOURCE: {"Tag": "a"},
            Property.IMAGE_TAGS: [],
            Property.REFRESH: None,
            Property.REPOSITORY_NAME: "acme/agent",
            Property.PLATFORMS: (),
        }
    )

    assert list(written.items()) == [("RepositoryName", "acme/agent"), ("Source", {"Tag": "a"})]


TAGS = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}", fullmatch=True)
DIGESTS = st.binary(max_size=4).map(lambda content: str(Digest.of(content)))
PLATFORMS = st.sampled_from(["linux/amd64", "linux/arm64/v8", "windows/amd64"])


@given(
    registry=st.none() | st.sampled_from(["acme", "123456789012"]),
    tags=st.lists(TAGS, unique=True, max_size=6),
    source=st.one_of(st.builds(dict, Digest=DIGESTS), st.builds(dict, Tag=TAGS)),
    expected=st.none() | DIGESTS,
    platforms=st.lists(PLATFORMS, max_size=2),
)
def test_written_properties_read_back_after_cloudformation_turned_them_into_strings(
    registry: str | None, tags: list[str], source: dict[str, str], expected: str | None, platforms: list[str]
) -> None:
    written = encode(
        {
            Property.REGISTRY_ID: registry,
            Property.REPOSITORY_NAME: "acme/agent",
            Property.IMAGE_TAGS: tags,
            Property.IMAGE_DIGEST: expected,
            Property.SOURCE: source,
            Property.PLATFORMS: platforms,
            Property.INCLUDE_REFERRERS: False,
        }
    )

    read = decode(as_sent(written))

    ((kind, value),) = source.items()
    assert (read.registry_id, read.tags) == (registry, tuple(tags))
    assert read.rules == ((ExpectedDigest(Digest.parse(expected)),) if expected else ())
    assert [str(platform) for platform in read.platforms] == platforms
    assert read.source == (DigestSource(Digest.parse(value)) if kind == "Digest" else TagSource(value))

"""The JSON Schema for editors and the reader agree on every document, as far as a schema can."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cdk_ecrpublic import ImageSettings
from cdk_ecrpublic.catalog.native import SETTINGS, Context
from cdk_ecrpublic.catalog.nodes import parse
from cdk_ecrpublic.catalog.problems import Problems
from cdk_ecrpublic.catalog.reader import read_form
from tests.fuzz.hostile import changed

CATALOGS = Path(__file__).parent / "catalogs"
SCHEMA = json.loads(files("cdk_ecrpublic.catalog").joinpath("catalog.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
PROFILE = "arn:aws:signer:us-east-1:123456789012:/signing-profiles/release"

VALID: list[Any] = [
    *(yaml.safe_load((CATALOGS / f"{name}.yaml").read_text()) for name in ("promoter", "images", "repositories")),
    {"registry": "111122223333", "repositories": {"ab": {"images": [{"digest": A, "id": "x"}]}}},
    {"repositories": {}, "defaults": {"platforms": ["linux/arm/v7"], "immutable_tags": ["1.?", "*"]}},
    {
        "defaults": {"rules": {"forward_only": {}, "immutable_tags": {"patterns": ["1.*"], "warn_only": True}}},
        "repositories": {"ab": {"images": [{"digest": A, "rules": {"forward_only": False}}]}},
    },
    {
        "repositories": {
            "ab": {
                "images": [
                    {
                        "digest": A,
                        "rules": {
                            "required_platforms": {"platforms": ["linux/arm64"]},
                            "required_referrers": {"types": ["sbom", "https://slsa.dev/*"], "each_platform": True},
                            "scan_findings": {
                                "max_severity": "HIGH",
                                "only_fixable": True,
                                "allow_unrated": False,
                                "ignore": [{"name": "CVE-2025-0001", "reason": "no", "until": "2099-12-31"}],
                                "max_age": "7 days",
                                "allow_states": ["SCAN_NOT_FOUND"],
                                "inspector": False,
                            },
                            "required_signatures": {
                                "signatures": [
                                    {"kms": {"key": KEY, "repository": "ghcr.io/acme/agent"}},
                                    {"kms": {"key": KEY}},
                                    {"ecr_managed": {"profile_arn": PROFILE}},
                                ],
                                "any_of": True,
                                "each_platform": False,
                                "warn_only": False,
                            },
                            "forward_only": {
                                "tags": ["latest", "1*"],
                                "on_older": "refuse",
                                "prefix": "v",
                                "suffix": "-debug",
                                "allow_unknown": True,
                                "warn_only": False,
                            },
                        },
                    }
                ]
            }
        }
    },
    {
        "defaults": {"sign_with": {"kms": {"key": KEY, "as_tag": True, "children": False}}},
        "repositories": {
            "ab": {
                "images": [
                    {"digest": A, "sign_with": False},
                    {"digest": B, "sign_with": {"signer_profile": {"profile_arn": PROFILE, "children": True}}},
                ]
            }
        },
    },
    {"registries": [{"name": "localhost:5000", "src": True}, {"name": "[::1]:443/a"}], "images": []},
    [],
]

HOSTS = ("h:0", "h:1", "h:65535", "h:65536", "h:00443", "h:00000", "h:", "-h", "h-", "[::1]", "H.io")

TEXTS = (
    *("1.0", "a b", "latest", "x" * 128, "x" * 129, "1.0\n", "*", "1.*", "é", "", ".a", "_", "-a", "a/b", "/a"),
    *(A, A.upper(), f"{A}\n", f"{A}a", "sha256:", "linux/arm64", "linux", "linux/arm64/v8", "linux/", "a/b/c/d"),
    *("acme", "a", "ab", "Acme", "a" * 50, "a" * 51, "111122223333", "11112222333", "a-b", "a--b", "a__b", "acme\n"),
    *("acme/agent", "acme//agent", "a" * 205, "a" * 206, "x/" * 102 + "x", "a.b", "a..b", "../a", "a\x00", "m.json"),
    *(f"ghcr.io/acme/agent@{A}", f"ghcr.io/acme/agent:1@{A}", "ghcr.io/acme/agent:1", f"agent@{A}", f"h/a:b:c@{A}"),
    *(f"{host}/a@{A}" for host in HOSTS),
    *(f"{host}/a" for host in HOSTS),
    *HOSTS,
    *(KEY, f"{KEY}\n", KEY.replace("key/", "alias/"), KEY.replace("kms", "s3"), "1234abcd-12ab-34cd-56ef-1234567890ab"),
    *(PROFILE, f"{PROFILE}/abc", PROFILE.replace("release", "r"), PROFILE.replace("release", "a-b"), "release"),
    *("h", "h/A", "h/a/", "h/a__b/c--d", "h/a___b", "h/a.b", "h/.", "true", "x" * 1024, "x" * 1025),
)

VALUES: st.SearchStrategy[Any] = (
    st.sampled_from(TEXTS) | st.none() | st.booleans() | st.integers(0, 3) | st.just([]) | st.just({})
)

PLACES: dict[str, Callable[[str], object]] = {
    "registry": lambda text: {"registry": text, "repositories": {}},
    "repository": lambda text: {"repositories": {text: {"images": []}}},
    "digest": lambda text: _image(digest=text),
    "source": lambda text: _image(source=text),
    "manifest_file": lambda text: _image(manifest_file=text),
    "expected_digest": lambda text: _image(digest=A, expected_digest=text),
    "id": lambda text: _image(digest=A, id=text),
    "tag": lambda text: _image(digest=A, tags=[text]),
    "platform": lambda text: _image(digest=A, platforms=[text]),
    "pattern": lambda text: _image(digest=A, immutable_tags=[text]),
    "key": lambda text: _image(digest=A, sign_with={"kms": {"key": text}}),
    "profile": lambda text: _image(digest=A, sign_with={"signer_profile": {"profile_arn": text}}),
    "required key": lambda text: _required("kms", key=text),
    "required profile": lambda text: _required("ecr_managed", profile_arn=text),
    "repository of a signature": lambda text: _required("kms", key=KEY, repository=text),
    "name of a registry": lambda text: {"registries": [{"name": text}], "images": []},
    "service-account": lambda text: {"registries": [{"name": "h", "service-account": text}], "images": []},
    "name": lambda text: [{"name": text, "dmap": {A: []}}],
    "dmap": lambda text: [{"name": "a", "dmap": {text: []}}],
    "tag of a dmap": lambda text: [{"name": "a", "dmap": {A: [text]}}],
}
"""Documents that are right but for one text, by where it stands."""


def _required(method: str, **arguments: str) -> object:
    return _image(digest=A, rules={"required_signatures": {"signatures": [{method: arguments}]}})


def _image(**entry: object) -> object:
    return {"repositories": {"ab": {"images": [entry]}}}


def refused_by_reader(text: str) -> list[str]:
    """Return the reader's errors about a document alone: no conflicts, no other files, no destination."""
    problems = Problems("catalog.yaml")
    node = parse(text, problems)
    if node is not None:
        read_form(node, Context(Path()), problems)
    return [str(problem) for problem in problems.found]


def refused_by_schema(document: object) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(document)]


def numbers(document: object) -> Iterator[float]:
    if isinstance(document, dict | list):
        for part in document.values() if isinstance(document, dict) else document:
            yield from numbers(part)
    elif isinstance(document, int | float) and not isinstance(document, bool):
        yield document


def test_every_setting_can_be_used() -> None:
    definitions = SCHEMA["$defs"]

    assert set(SETTINGS) == {field.name for field in fields(ImageSettings)}
    assert set(SETTINGS) == set(definitions["catalog"]["properties"]["defaults"]["properties"])
    assert set(SETTINGS) <= set(definitions["image"]["properties"])


def test_the_schema_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("document", VALID, ids=lambda document: str(document)[:30])
def test_both_accept_valid_documents(document: object) -> None:
    assert refused_by_schema(document) == []
    assert refused_by_reader(json.dumps(document)) == []


@pytest.mark.parametrize("name", ["broken-repositories.yaml", "several-destinations.yaml"])
def test_both_agree_on_the_examples(name: str) -> None:
    text = (CATALOGS / name).read_text()

    assert bool(refused_by_schema(yaml.safe_load(text))) is bool(refused_by_reader(text))


@pytest.mark.parametrize("place", PLACES)
def test_both_agree_on_every_string_in_every_place(place: str) -> None:
    documents = [(text, PLACES[place](text)) for text in TEXTS]

    by_schema = {text for text, document in documents if not refused_by_schema(document)}
    by_reader = {text for text, document in documents if not refused_by_reader(json.dumps(document))}

    assert by_schema ^ by_reader == set()
    assert by_schema


def every_change(value: Any) -> Iterator[Any]:
    """Yield a document with each of its parts replaced by values of every kind, removed, or renamed."""
    yield from (None, True, 1, "text", [], {})
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from ([*value[:number], changed_item, *value[number + 1 :]] for changed_item in every_change(item))
            yield [*value[:number], *value[number + 1 :]]
    if isinstance(value, dict):
        for key, item in value.items():
            others = {name: each for name, each in value.items() if name != key}
            yield from ({**others, key: changed_item} for changed_item in every_change(item))
            yield from (others, {**others, "other": item})


@pytest.mark.parametrize("document", VALID, ids=lambda document: str(document)[:30])
def test_both_agree_on_every_single_change(document: object) -> None:
    found = [
        (bool(refused_by_schema(each)), bool(refused_by_reader(json.dumps(each)))) for each in every_change(document)
    ]

    assert [number for number, (by_schema, by_reader) in enumerate(found) if by_schema is not by_reader] == []


@settings(max_examples=400)
@given(changed(st.sampled_from(VALID), VALUES) | changed(st.sampled_from(VALID)))
def test_both_agree_on_any_change(document: object) -> None:
    # JSON is YAML, except for a few characters that YAML does not allow.
    text = json.dumps(document)
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        assert refused_by_reader(text)
        return
    # For numbers in the place of strings, the schema sees their values but not their spelling.
    assume(not any(str(number) == "-0.0" or number > 9_999_999_999_999_999 for number in numbers(document)))

    by_reader, by_schema = refused_by_reader(text), refused_by_schema(document)

    assert bool(by_reader) is bool(by_schema), (by_reader, by_schema)


@pytest.mark.parametrize("text", ["1.10", "2026-10-01", "on", "~", "1_000", "0x1F", "1:30", ""])
def test_both_refuse_tags_that_yaml_does_not_read_as_strings(text: str) -> None:
    catalog = f'repositories: {{ab: {{images: [{{digest: "{A}", tags: [{text or "null"}]}}]}}}}'

    assert refused_by_schema(yaml.safe_load(catalog))
    assert refused_by_reader(catalog)


@pytest.mark.parametrize("tag", ["1.10", "0", "on", "1_000", "20201014", "1e3"])
def test_both_accept_promoter_tags_without_quotes(tag: str) -> None:
    listing = f'[{{name: agent, dmap: {{"{A}": [{tag}]}}}}]'

    assert refused_by_schema(yaml.safe_load(listing)) == refused_by_reader(listing) == []


@pytest.mark.parametrize("tag", ["-1", "~", "[]", "{}", "-1.5"])
def test_both_refuse_invalid_promoter_tags(tag: str) -> None:
    listing = f'[{{name: agent, dmap: {{"{A}": [{tag}]}}}}]'

    assert refused_by_schema(yaml.safe_load(listing))
    assert refused_by_reader(listing)

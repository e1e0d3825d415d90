"""Digests, hosts, repositories, tags, references and platforms: all parsed values round-trip."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_handler.errors import InvalidInputError
from lambda_handler.oci import (
    Digest,
    Platform,
    Reference,
    RegistryHost,
    Repository,
    parse_registry_id,
    parse_repository_name,
    parse_tag,
    parse_tag_pattern,
)
from tests.fuzz.hostile import TEXTS, outcome

PARSERS: tuple[Callable[[str], object], ...] = (
    Digest.parse,
    Platform.parse,
    Reference.parse,
    RegistryHost.parse,
    Repository.parse,
    parse_registry_id,
    parse_repository_name,
    parse_tag,
    parse_tag_pattern,
)

DIGEST = "sha256:" + "0a" * 32
HOSTS = st.from_regex(r"\A([a-z0-9]{1,8}(\.[a-z0-9]{1,8}){0,2}|localhost|\[::1\])(:0?[1-9][0-9]{0,3})?\Z")
PATHS = st.from_regex(r"\A[a-z0-9]{1,5}([._-][a-z0-9]{1,5})?(/[a-z0-9]{1,5}){0,2}\Z")
TAGS = st.from_regex(re.compile(r"\A[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}\Z", re.ASCII))
DIGESTS = st.just(DIGEST) | st.binary(max_size=1).map(Digest.of).map(str)
PLATFORMS = st.from_regex(r"\A(linux|windows)/(amd64|arm|arm64)(/v[678])?\Z")
VALID = st.one_of(
    HOSTS,
    PATHS,
    TAGS,
    DIGESTS,
    PLATFORMS,
    st.builds("{}/{}".format, HOSTS, PATHS),
    st.builds("{}/{}:{}".format, HOSTS, PATHS, TAGS),
    st.builds("{}/{}@{}".format, HOSTS, PATHS, DIGESTS),
    st.builds("{}/{}:{}@{}".format, HOSTS, PATHS, TAGS, DIGESTS),
)
ODD = st.sampled_from(["", "/", ":", "@", ".", "-", "__", "//", "..", "%2f", "\\", "?", "#", "*", " ", "\n", "A", "é"])
MORE_ODD = st.sampled_from(["\u0661", "\ud800", "\x00", "[", "]", "65536", "0" * 6, "x" * 130, DIGEST, "localhost/"])


@st.composite
def almost(draw: st.DrawFn) -> str:
    """Generate a valid name of some kind, with something unusual in it."""
    name: str = draw(VALID)
    place = draw(st.integers(0, len(name)))
    return name[:place] + draw(ODD | MORE_ODD) + name[place + draw(st.integers(0, 2)) :]


@settings(max_examples=300)
@given(VALID | almost() | TEXTS)
def test_any_string_round_trips_or_is_refused(text: str) -> None:
    for parse in PARSERS:
        read = outcome(lambda parse=parse: parse(text))  # type: ignore[misc]

        assert isinstance(read, InvalidInputError) or parse(str(read)) == read


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__qualname__)
@pytest.mark.parametrize("text", ["a" * 100_000, "a." * 50_000, "a/" * 50_000, "-" * 100_000, "a:" * 50_000])
def test_no_string_takes_long_to_refuse(parse: Callable[[str], object], text: str) -> None:
    """A backtracking pattern would take years; the timeout of the test runner would end it."""
    for name in (text, f"example.com/{text}", f"example.com/{text}!", f"{text}!"):
        outcome(lambda name=name: parse(name))  # type: ignore[misc]


@given(HOSTS, PATHS, st.none() | TAGS, st.none() | st.binary(max_size=1).map(Digest.of))
def test_a_reference_consists_of_its_parts(host: str, path: str, tag: str | None, digest: Digest | None) -> None:
    repository = Repository(RegistryHost.parse(host), path)
    text = f"{host}/{path}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")

    read = outcome(lambda: Reference.parse(text))

    assert (
        isinstance(read, InvalidInputError)
        if tag is None and digest is None
        else read == Reference(repository, tag, digest)
    )

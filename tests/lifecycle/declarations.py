"""Random declarations, with so few tags and images that resources often conflict."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from hypothesis import strategies as st

from .course import Properties, Template
from .registry import CHILDREN, FOREIGN, HOMES, NEW_INDEX, RESIDENT, SOURCE_TAG, UPSTREAM_TAGS, World

NAMES = ("Agent", "Nightly", "Release", "Renamed")
TAGS = ("1", "2", "latest")

MISSING_DIGEST = "sha256:" + "0" * 64

OPTIONS: Mapping[str, st.SearchStrategy[object]] = {
    "ImmutableTags": st.sampled_from([["1"], ["?"], ["*"]]),
    "OnTagRemoved": st.just("Untag"),
    "OnDelete": st.just("Delete"),
    "StateParameterName": st.sampled_from(["own", "shared"]),
}
"""Other properties and their values. If the handler supports a new property, add it here."""

REMOVAL = {"OnTagRemoved", "OnDelete"}

SHARED = "/cdk-ecrpublic/shared/state"
"""A parameter name that several resources or stacks may share, because templates set it by hand."""


@dataclass(frozen=True)
class Source:
    """
    The source of an image.

    Attributes:
        number: The index among the sources of this kind.
    """

    kind: Literal["digest", "nowhere", "tag", "manifest", "new index", "upstream tag", "upstream digest"]
    number: int = 0

    @property
    def may_move(self) -> bool:
        """Whether it may resolve to another image later."""
        return self.kind in {"tag", "upstream tag"}

    def render(self, world: World) -> dict[str, object]:
        resident, foreign = RESIDENT[self.number % len(RESIDENT)], FOREIGN[self.number % len(FOREIGN)]
        upstream_tag = UPSTREAM_TAGS[self.number % len(UPSTREAM_TAGS)]
        rendered: dict[str, dict[str, object]] = {
            "digest": {"Digest": resident.digest},
            "nowhere": {"Digest": MISSING_DIGEST},
            "tag": {"Tag": SOURCE_TAG},
            "manifest": {"Manifest": {"Body": resident.manifest.decode()}},
            "new index": {"Manifest": {"Body": NEW_INDEX}},
            "upstream tag": {"Image": {"Reference": world.upstream(f":{upstream_tag}")}},
            "upstream digest": {"Image": {"Reference": world.upstream(f"@{foreign.digest}")}},
        }
        return rendered[self.kind]


@dataclass(frozen=True)
class Declaration:
    """The declaration of one resource."""

    repository: str
    source: Source
    tags: tuple[str, ...] = ()
    options: tuple[tuple[str, object], ...] = ()

    @property
    def removes(self) -> bool:
        """Whether it may remove something."""
        return not REMOVAL.isdisjoint(dict(self.options))

    def render(self, world: World) -> Properties:
        return {
            "RepositoryName": self.repository,
            "ImageTags": list(self.tags),
            "Source": self.source.render(world),
            **dict(self.options),
        }


Declarations = Mapping[str, Declaration]


def declaring_resources(template: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """Return the resource of a template that declares each tag, by repository and tag."""
    return {
        (properties["RepositoryName"], tag): name
        for name, properties in template.items()
        for tag in properties["ImageTags"]
    }


def render(declared: Declarations, world: World, stack: str, *, named: bool) -> Template:
    """
    Return a template.

    As with the construct library, each resource has a parameter name if something
    may be removed from its repository.

    Args:
        named: Whether resources with a mutable source have a parameter name, too,
            as with the construct library of 0.1.
    """
    template: dict[str, Properties] = {}
    removed_from = {declaration.repository for declaration in declared.values() if declaration.removes}
    for name, declaration in declared.items():
        properties = dict(declaration.render(world))
        chosen = properties.pop("StateParameterName", None)
        if chosen == "shared":
            properties["StateParameterName"] = SHARED
        elif chosen or declaration.repository in removed_from or (named and declaration.source.may_move):
            properties["StateParameterName"] = f"/cdk-ecrpublic/{declaration.repository}/{stack}.{name}"
        template[name] = properties
    return template


def only(declared: Declarations, options: Collection[str]) -> Declarations:
    """Keep only these options."""
    return {
        name: replace(declaration, options=tuple(option for option in declaration.options if option[0] in options))
        for name, declaration in declared.items()
    }


def without_conflicts(declarations: Declarations) -> Declarations:
    """Remove tags that an earlier resource declares, too: the construct library refuses such a template."""
    taken: set[tuple[str, str]] = set()
    kept: dict[str, Declaration] = {}
    for name, declaration in declarations.items():
        tags = tuple(tag for tag in declaration.tags if (declaration.repository, tag) not in taken)
        taken.update((declaration.repository, tag) for tag in tags)
        kept[name] = replace(declaration, tags=tags)
    return kept


def sources() -> st.SearchStrategy[Source]:
    number = st.integers(0, 3)
    return st.one_of(
        st.builds(Source, st.just("digest"), number),
        st.builds(Source, st.sampled_from(["digest", "manifest", "upstream tag", "upstream digest"]), number),
        st.builds(Source, st.sampled_from(["tag", "tag", "new index", "nowhere"])),
    )


def options() -> st.SearchStrategy[tuple[tuple[str, object], ...]]:
    chosen = st.fixed_dictionaries({}, optional=dict(OPTIONS))
    return chosen.map(lambda values: tuple(sorted(values.items(), key=lambda item: item[0])))


def declarations() -> st.SearchStrategy[Declaration]:
    return st.builds(
        Declaration,
        repository=st.sampled_from((HOMES[0], HOMES[0], *HOMES)),
        source=sources(),
        tags=st.sampled_from([TAGS[:1], TAGS[1:2], TAGS[2:], TAGS[:2], TAGS[1:], TAGS, ()]),
        options=options(),
    )


def templates() -> st.SearchStrategy[Declarations]:
    first, *others, _ = NAMES
    resources = st.fixed_dictionaries({first: declarations()}, optional={name: declarations() for name in others})
    return resources.map(without_conflicts)


def has_record(properties: Properties) -> bool:
    """Whether a declaration always has a record."""
    is_named = "StateParameterName" in properties
    return may_move(properties) or is_named or untags(properties) or deletes(properties)


def may_move(properties: Properties) -> bool:
    """Whether a source may resolve to another image later."""
    source: Any = properties["Source"]
    return "Tag" in source or ("Image" in source and "@" not in source["Image"]["Reference"])


def untags(properties: Properties) -> bool:
    return properties.get("OnTagRemoved") == "Untag"


def deletes(properties: Properties) -> bool:
    return properties.get("OnDelete") == "Delete"


def is_immutable(properties: Properties, tag: str) -> bool:
    patterns: Any = properties.get("ImmutableTags", [])
    return any(fnmatchcase(tag, pattern) for pattern in patterns)


def with_children(properties: Properties, digests: Iterable[str | None]) -> Iterator[tuple[str, str]]:
    """Yield images with their children, each with its repository."""
    for digest in digests:
        if digest:
            yield from ((home(properties), part) for part in {digest, *CHILDREN.get(digest, ())})


def home(properties: Properties) -> str:
    return str(properties["RepositoryName"])

"""Random declarations, small enough that resources get into each other's way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from hypothesis import strategies as st

from .course import Properties, Template
from .registry import FOREIGN, HOMES, NEW_INDEX, RESIDENT, SOURCE_TAG, UPSTREAM_TAGS, World

NAMES = ("Agent", "Nightly", "Release", "Renamed")
TAGS = ("1", "2", "latest")

NOWHERE = "sha256:" + "0" * 64

OPTIONS: Mapping[str, st.SearchStrategy[object]] = {
    "ImmutableTags": st.sampled_from([["1"], ["?"], ["*"]]),
    "OnTagRemoved": st.just("Untag"),
    "OnDelete": st.just("Delete"),
    "StateParameterName": st.sampled_from(["own", "shared"]),
}
"""Further properties, each with its values: what the handler comes to support joins the lives by a line here."""

REMOVAL = {"OnTagRemoved", "OnDelete"}

SHARED = "/cdk-ecrpublic/shared/state"
"""What two resources, or two stacks of one template, may have written by hand."""


@dataclass(frozen=True)
class Source:
    """
    Where an image comes from.

    Attributes:
        number: Which one, of those that there are of this kind.
    """

    kind: Literal["digest", "nowhere", "tag", "manifest", "new index", "upstream tag", "upstream digest"]
    number: int = 0

    @property
    def may_move(self) -> bool:
        """Whether it may stand for another image one day."""
        return self.kind in {"tag", "upstream tag"}

    def render(self, world: World) -> dict[str, object]:
        resident, foreign = RESIDENT[self.number % len(RESIDENT)], FOREIGN[self.number % len(FOREIGN)]
        upstream_tag = UPSTREAM_TAGS[self.number % len(UPSTREAM_TAGS)]
        rendered: dict[str, dict[str, object]] = {
            "digest": {"Digest": resident.digest},
            "nowhere": {"Digest": NOWHERE},
            "tag": {"Tag": SOURCE_TAG},
            "manifest": {"Manifest": {"Body": resident.manifest.decode()}},
            "new index": {"Manifest": {"Body": NEW_INDEX}},
            "upstream tag": {"Image": {"Reference": world.upstream(f":{upstream_tag}")}},
            "upstream digest": {"Image": {"Reference": world.upstream(f"@{foreign.digest}")}},
        }
        return rendered[self.kind]


@dataclass(frozen=True)
class Declaration:
    """What one resource declares."""

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


def claims(template: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """Return which resource of a template declares a tag, by repository and tag."""
    return {
        (properties["RepositoryName"], tag): name
        for name, properties in template.items()
        for tag in properties["ImageTags"]
    }


def render(declared: Declarations, world: World, stack: str, *, named: bool) -> Template:
    """
    Write a template.

    Args:
        named: A resource whose source may move has a parameter's name, as the
            construct library of 0.1 gave it.

    As with the construct library, each resource has one wherever something
    may be removed from its repository.
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
    """Drop all options but these."""
    return {
        name: replace(declaration, options=tuple(option for option in declaration.options if option[0] in options))
        for name, declaration in declared.items()
    }


def without_conflicts(declarations: Declarations) -> Declarations:
    """Take from each resource what one before it declares too: the construct library refuses such a template."""
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

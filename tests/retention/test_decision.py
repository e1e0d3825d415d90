"""Images that are never removed, regardless of the rules."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_handler.oci import Digest
from lambda_handler.retention.decision import Declared, Outcome, Retention, in_order_of_removal
from lambda_handler.retention.inventory import Image, Inventory, Links
from lambda_handler.retention.lifecycle import DAY_SECONDS, parse_policy

NOW = 1_790_000_000.0

EVERYTHING = parse_policy(
    {
        "rules": [
            {
                "rulePriority": 1,
                "selection": {
                    "tagStatus": "any",
                    "countType": "sinceImagePushed",
                    "countUnit": "days",
                    "countNumber": 1,
                },
                "action": {"type": "expire"},
            }
        ]
    }
)
"""A policy under which everything older than a day expires."""


def digest(name: str) -> Digest:
    return Digest.of(name.encode())


@dataclass
class Repository:
    """Images by name, whose digests are computed from their names."""

    images: dict[Digest, Image] = field(default_factory=dict)
    links: dict[Digest, Links] = field(default_factory=dict)
    names: dict[Digest, str] = field(default_factory=dict)

    def push(
        self, name: str, *tags: str, days: float = 9, children: tuple[str, ...] = (), subject: str = ""
    ) -> Repository:
        key = digest(name)
        self.names[key] = name
        self.images[key] = Image(digest=key, tags=frozenset(tags), pushed=NOW - days * DAY_SECONDS)
        self.links[key] = Links(children=tuple(map(digest, children)), subject=digest(subject) if subject else None)
        return self

    @property
    def inventory(self) -> Inventory:
        return Inventory(images=self.images, links=self.links)

    def outcomes(self, declared: Declared | None = None) -> dict[str, Outcome]:
        found = Retention(rules=EVERYTHING).decide(self.inventory, declared or Declared(), NOW)
        assert [outcome.image.pushed for outcome in found] == sorted(each.pushed for each in self.images.values())
        return {self.names[outcome.image.digest]: outcome for outcome in found}

    def going(self, declared: Declared | None = None) -> set[str]:
        return {name for name, outcome in self.outcomes(declared).items() if outcome.goes}


def signature_of(name: str) -> str:
    return f"sha256-{digest(name).hex}.sig"


def test_keeps_what_a_stack_declares() -> None:
    repository = Repository().push("by tag", "1.0").push("by digest").push("neither", "0.9")
    declared = Declared(tags={"1.0": "eu-west-1.Agent.Release"}, digests={digest("by digest"): "eu-west-1.Agent.Other"})

    outcomes = repository.outcomes(declared)

    assert repository.going(declared) == {"neither"}
    assert outcomes["by tag"].why == "eu-west-1.Agent.Release declares its tag 1.0"
    assert outcomes["by digest"].why == "eu-west-1.Agent.Other declares it"
    assert outcomes["neither"].why == "rule 1 (all images, older than 1 day)"


def test_keeps_immutable_tags_and_young_images() -> None:
    repository = Repository().push("immutable", "1.4.2").push("young", days=0.5).push("old", "latest")

    outcomes = repository.outcomes(Declared(immutable=frozenset({"1.*"})))

    assert repository.going(Declared(immutable=frozenset({"1.*"}))) == {"old"}
    assert outcomes["immutable"].why == "its tag 1.4.2 is immutable"
    assert outcomes["young"].why == "it is younger than 24 hours"


def test_keeps_an_image_younger_than_a_day_even_if_a_rule_expires_it() -> None:
    rules = [replace(EVERYTHING[0], number=1)]
    repository = Repository().push("young", days=1.5)

    (outcome,) = Retention(rules=rules, min_age_seconds=2 * DAY_SECONDS).decide(repository.inventory, Declared(), NOW)

    assert (outcome.goes, outcome.why) == (False, "it is younger than 48 hours")


def test_keeps_the_children_of_a_kept_index() -> None:
    repository = (
        Repository()
        .push("amd64")
        .push("arm64", "old-arm64")
        .push("index", "1.0", children=("amd64", "arm64"))
        .push("other", children=("amd64",))
    )

    outcomes = repository.outcomes(Declared(tags={"1.0": "Stack.Release"}))

    assert {name for name, outcome in outcomes.items() if outcome.goes} == {"other"}
    assert outcomes["amd64"].why == outcomes["arm64"].why == f"1.0 ({str(digest('index'))[:19]}) lists it"


def test_removes_an_index_with_its_untagged_children() -> None:
    repository = Repository().push("amd64").push("arm64").push("index", "1.0", children=("amd64", "arm64"))

    assert repository.going() == {"amd64", "arm64", "index"}
    assert repository.outcomes()["amd64"].why == f"it goes with 1.0 ({str(digest('index'))[:19]}), which lists it"


def test_keeps_a_young_child_of_a_removed_index() -> None:
    repository = Repository().push("child", days=0.1).push("index", children=("child",))

    assert repository.going() == {"index"}


@pytest.mark.parametrize("form", ["referrer", "tag", "fallback list"])
def test_keeps_or_removes_referrers_with_their_subject(form: str) -> None:
    def attached(subject: str) -> Repository:
        repository = Repository().push(subject, "1.0")
        if form == "tag":
            return repository.push("signature", signature_of(subject))
        repository.push("signature", subject=subject)
        if form == "fallback list":
            repository.push("list", signature_of(subject).removesuffix(".sig"), children=("signature",))
        return repository

    stays = attached("image").outcomes(Declared(tags={"1.0": "Stack.Release"}))
    goes = attached("image").outcomes()

    assert not any(outcome.goes for outcome in stays.values())
    listed = f"{digest('list')} lists it" if form == "fallback list" else ""
    assert stays["signature"].why == (listed or f"it is attached to 1.0 ({str(digest('image'))[:19]})")
    assert all(outcome.goes for outcome in goes.values())


def test_keeps_the_subject_of_a_kept_referrer() -> None:
    repository = Repository().push("image", "0.9").push("sbom", "sbom-0.9", subject="image")

    outcomes = repository.outcomes(Declared(tags={"sbom-0.9": "Stack.Sbom"}))

    assert not any(outcome.goes for outcome in outcomes.values())
    assert outcomes["image"].why == f"what is attached to it stays: sbom-0.9 ({str(digest('sbom'))[:19]})"


def test_removes_nothing_if_tags_name_each_other_as_signatures() -> None:
    """Neither has a real subject, so no rule selects them."""
    repository = Repository().push("a", signature_of("b")).push("b", signature_of("a"))

    assert repository.going() == set()


def test_an_image_whose_subject_does_not_exist_is_an_ordinary_image() -> None:
    assert Repository().push("orphan", subject="gone").going() == {"orphan"}


def test_removes_an_image_before_its_parts() -> None:
    repository = (
        Repository()
        .push("child")
        .push("index", children=("child",))
        .push("signature of the child", subject="child")
        .push("signature", signature_of("index"))
    )
    inventory = repository.inventory
    doomed = {digest(name) for name in repository.going()}

    groups = [{repository.names[each] for each in group} for group in in_order_of_removal(doomed, inventory)]

    assert groups == [{"index"}, {"child", "signature"}, {"signature of the child"}]


NAMES = tuple("abcdefgh")


@st.composite
def repositories(draw: st.DrawFn) -> tuple[Repository, Declared]:
    """Draw a repository whose later images may list, or be attached to, earlier ones."""
    repository = Repository()
    for number, name in enumerate(NAMES[: draw(st.integers(1, len(NAMES)))]):
        earlier = st.sampled_from(NAMES[:number]) if number else st.nothing()
        few = st.lists(earlier, max_size=3, unique=True) if number else st.just([])
        own = draw(st.sets(st.sampled_from(["1.0", "1.1", "2.0", "latest"]), max_size=2))
        signs = [signature_of(each) for each in draw(few)[:1]]
        repository.push(
            name,
            *(f"{tag}-{name}" for tag in own),
            *(signs if draw(st.booleans()) else []),
            days=draw(st.sampled_from([0.2, 2, 9])),
            children=tuple(draw(few)),
            subject=(draw(few) or [""])[0],
        )
    tags = draw(st.sets(st.sampled_from([f"{tag}-{name}" for tag in ("1.0", "latest") for name in NAMES]), max_size=2))
    digests = draw(st.sets(st.sampled_from(NAMES), max_size=1))
    return repository, Declared(tags=dict.fromkeys(tags, "Stack"), digests={digest(name): "Stack" for name in digests})


@given(repositories())
@settings(max_examples=300, deadline=None)
def test_no_kept_image_loses_any_part(drawn: tuple[Repository, Declared]) -> None:
    repository, declared = drawn
    going = {digest(name) for name in repository.going(declared)}
    inventory = repository.inventory
    stays = inventory.images.keys() - going

    for key in stays:
        assert not going & set(inventory.children(key)), "a child of a kept index"
        assert not going & inventory.attached.get(key, frozenset()), "attached to a kept image"
        assert not going & inventory.subjects(key), "the subject of a kept image"
    for key in going:
        image = inventory.images[key]
        assert key not in declared.digests
        assert not image.tags & declared.tags.keys()
        assert image.pushed <= NOW - DAY_SECONDS
    order = [key for group in in_order_of_removal(going, inventory) for key in group]
    assert sorted(order) == sorted(going)
    for key in going:
        assert all(
            order.index(parent) < order.index(key) for parent in inventory.parents.get(key, ()) if parent in going
        )


def test_a_message_names_at_most_three_images() -> None:
    parents: dict[str, Any] = {f"index {number}": ("child",) for number in range(5)}
    repository = Repository().push("child", "old")
    for name, children in parents.items():
        repository.push(name, f"tag-{name[-1]}", children=children)
    declared = Declared(tags={f"tag-{number}": "Stack" for number in range(5)})

    assert repository.outcomes(declared)["child"].why.endswith(" and 2 more list it")

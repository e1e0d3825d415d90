"""The plan contains what has to be written, and nothing else."""

from __future__ import annotations

import pytest

from lambda_handler.errors import RuleViolationError
from lambda_handler.oci import Digest, Platform
from lambda_handler.publish.content import Content, content_in_destination, content_to_copy
from lambda_handler.publish.plan import Desired, Observed, Plan, TagMove, make_plan
from lambda_handler.publish.rule import Verdict
from tests.support.memory import MemoryRepository

OLD = Digest.of(b"old")
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


@pytest.fixture
def content() -> Content:
    """Return an image that is already in the destination."""
    origin = MemoryRepository()
    return content_in_destination(origin.add(b"config", b"layer"), origin, [])


def planned(content: Content, *tags: str, observed: Observed, confirm: tuple[str, ...] = ()) -> Plan:
    return make_plan(Desired(content=content, tags=tags, confirm=frozenset(confirm)), observed)


def test_a_move_states_the_previous_image_of_a_tag(content: Content) -> None:
    plan = planned(content, "1.4", "latest", observed=Observed(tags={"latest": OLD}))

    assert plan.moves == (TagMove("1.4", None), TagMove("latest", OLD))
    assert str(plan) == f"image {content.root.digest}; put 1.4 (new), latest from {OLD}"


def test_tags_are_put_in_the_declared_order(content: Content) -> None:
    plan = planned(content, "b", "c", "a", observed=Observed(tags={"a": OLD}))

    assert [move.tag for move in plan.moves] == ["b", "c", "a"]


def test_tags_that_are_already_right_are_not_put_again(content: Content) -> None:
    plan = planned(content, "1", "2", observed=Observed(tags={"1": content.root.digest, "2": content.root.digest}))

    assert plan.is_empty
    assert plan.unchanged == ("1", "2")
    assert str(plan) == f"image {content.root.digest}; unchanged: 1, 2"


def test_leaves_other_tags_of_the_repository_alone(content: Content) -> None:
    assert planned(content, observed=Observed(tags={"somebody's": OLD})).is_empty


def test_puts_tags_again_if_a_read_may_be_stale(content: Content) -> None:
    plan = planned(content, "1", observed=Observed(tags={"1": content.root.digest}), confirm=("1",))

    assert [move.tag for move in plan.moves] == ["1"]


def test_puts_an_image_again_if_another_resource_may_remove_it(content: Content) -> None:
    plan = make_plan(Desired(content=content, confirm_image=True), Observed(tags={}))

    assert plan.put_image
    assert str(plan) == f"put {content.root.digest}"


def test_an_image_without_tags_is_put_by_its_digest(content: Content) -> None:
    plan = planned(content, observed=Observed(tags={}, missing_images=frozenset({content.root.digest})))

    assert plan.put_image
    assert str(plan) == f"put {content.root.digest}"


def test_an_image_that_is_put_by_tag_is_not_put_again(content: Content) -> None:
    plan = planned(content, "1", observed=Observed(tags={}, missing_images=frozenset({content.root.digest})))

    assert not plan.put_image
    assert len(plan.moves) == 1


def test_puts_a_missing_image_although_its_tags_seem_to_exist(content: Content) -> None:
    digest = content.root.digest
    plan = planned(content, "1", observed=Observed(tags={"1": digest}, missing_images=frozenset({digest})))

    assert plan.put_image


def test_children_come_before_parents_and_each_blob_only_once() -> None:
    origin = MemoryRepository()
    inner = origin.add_index(origin.add(b"config 1", b"layer"), origin.add(b"config 2", b"layer"))
    whole = content_to_copy(origin.add_index(inner), origin, [])
    missing = Observed(
        tags={},
        missing_images=frozenset(manifest.digest for manifest in whole.copied),
        missing_blobs=frozenset(origin.blobs),
    )

    plan = planned(whole, "1", observed=missing)

    assert [part.digest for part in plan.parts] == [part.digest for part in whole.parts]
    assert plan.parts[-1].digest == inner.digest
    assert sorted(copy.blob.digest for copy in plan.blobs) == sorted(origin.blobs)
    assert plan.blob_bytes == len(b"config 1") + len(b"config 2") + len(b"layer")


def test_refuses_to_plan_what_a_rule_forbids(content: Content) -> None:
    desired = Desired(content=content, verdict=Verdict(violations=("no",)))

    with pytest.raises(RuleViolationError) as failure:
        make_plan(desired, Observed(tags={}))

    assert failure.value.violations == ("no",)


def test_a_plan_names_the_tags_that_a_rule_skips(content: Content) -> None:
    plan = make_plan(Desired(content=content, verdict=Verdict(stays={"latest": "it is at 2.0.0"})), Observed(tags={}))

    assert plan.is_empty
    assert "tag latest stays: it is at 2.0.0" in str(plan)
    assert plan.summary()["stays"] == {"latest": "it is at 2.0.0"}


def test_the_summary_matches_the_plan(content: Content) -> None:
    plan = planned(content, "1", "2", observed=Observed(tags={"1": OLD, "2": content.root.digest}))

    assert plan.summary() == {
        "imageDigest": str(content.root.digest),
        "blobs": 0,
        "blobBytes": 0,
        "manifests": 0,
        "putImage": False,
        "referrers": 0,
        "signatures": 0,
        "moves": [f"1 from {OLD}"],
        "unchanged": ["2"],
        "stays": {},
    }

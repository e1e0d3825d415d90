"""Where records are stored, and what the records of other resources own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from lambda_handler.oci import Digest
from lambda_handler.publish.remove import Owners, Removal
from lambda_handler.resources.record import Record
from lambda_handler.resources.record_names import (
    MOVING,
    UNDO,
    always_has_record,
    owner_of,
    owns_tags,
    record_segment,
)
from lambda_handler.resources.records import UNREADABLE, Records
from lambda_handler.spec import decode
from tests.support.parameters import ParameterStore

STACK = "arn:aws:cloudformation:eu-west-1:123456789012:stack/Agent/5a7d8f10-0000-4000-8000-123456789abc"
FIRST_NAME = "/cdk-ecrpublic/acme/agent/Agent.Release"
FOLDER = "/cdk-ecrpublic/state/123456789012/acme--agent"
X, Y = Digest.of(b"x"), Digest.of(b"y")
OURS, OTHER = "eu-west-1.Agent.Release", "us-east-1.Other.Image"
A_LATER_VERSION = '{"version": 2}'


@dataclass
class Store:
    """
    The parameters of a Region.

    Attributes:
        asked: All calls, in order.
    """

    texts: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def read(self, name: str) -> str | None:
        self.asked.append(f"read {name}")
        return self.texts.get(name)

    def write(self, name: str, text: str) -> bool:
        # The service's rules for names and lengths.
        ParameterStore("us-east-1").answer("PutParameter", {"Name": name, "Value": text})
        self.asked.append(f"write {name}")
        is_new = name not in self.texts
        self.texts[name] = text
        return is_new

    def delete(self, name: str) -> None:
        self.asked.append(f"delete {name}")
        self.texts.pop(name, None)

    def list(self, path: str) -> Mapping[str, str]:
        self.asked.append(f"list {path}")
        return {name: text for name, text in self.texts.items() if name.rpartition("/")[0] == path}


@dataclass
class World:
    """The parameters of both Regions, and the records of one resource among them."""

    home: Store = field(default_factory=Store)
    first: Store = field(default_factory=Store)
    updated: set[str] = field(default_factory=set)
    asked_for: list[str] = field(default_factory=list)

    def records(self, **changes: str) -> Records:
        records = Records(
            parameters=self.home,
            first_parameters=self.first,
            registry_id="123456789012",
            repository_name="acme/agent",
            owner=OURS,
            first_name=FIRST_NAME,
            was_updated=self._was_updated,
        )
        return replace(records, **changes)  # type: ignore[arg-type]

    def _was_updated(self, logical_id: str, _sent: float) -> bool:
        self.asked_for.append(logical_id)
        return logical_id in self.updated

    def put(self, segment: str, record: Record, owner: str = OTHER) -> None:
        self.records(owner=owner).write(segment, record, None)

    def owners(self, digest: Digest = X) -> Owners:
        return self.records().owners(digest)


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("stack", "logical_id", "owner"),
    [
        (STACK, "Release", "eu-west-1.Agent.Release"),
        (STACK.replace("Agent", "Root-NestedABC-1X"), "R0", "eu-west-1.Root-NestedABC-1X.R0"),
        ("arn:aws-cn:cloudformation:cn-north-1:123456789012:stack/A/1", "R", "cn-north-1.A.R"),
        ("arn:aws:cloudformation:eu-west-1:123456789012:stack/Agent", "R", "eu-west-1.Agent.R"),
        ("Agent", "Release", "Agent.Release"),
        ("a/b c:ü", "R", "a-b-c--.R"),
    ],
)
def test_the_owner_name_has_region_stack_and_logical_id(stack: str, logical_id: str, owner: str) -> None:
    assert owner_of(stack, logical_id) == owner


def test_the_owner_names_of_a_recreated_stack_stay_the_same() -> None:
    """Otherwise, the records of a deleted stack would own its tags forever."""
    assert owner_of(STACK, "Release") == owner_of(STACK.replace("5a7d8f10", "00000000"), "Release")


@pytest.mark.parametrize(
    ("repository", "folder"), [("acme/agent", "acme--agent"), ("a/b/c", "a--b--c"), ("a-b.c_d", "a-b.c_d")]
)
def test_the_parameter_name_has_registry_repository_and_image(world: World, repository: str, folder: str) -> None:
    world.records(repository_name=repository).write(X.hex, Record(), None)

    assert list(world.home.texts) == [f"/cdk-ecrpublic/state/123456789012/{folder}/{X.hex}/{OURS}"]
    assert world.first.texts == {}


def test_the_service_accepts_the_longest_names(world: World) -> None:
    stack = f"arn:aws:cloudformation:ap-southeast-2:123456789012:stack/{'S' * 128}/5a7d8f10"
    repository = "/".join(["a"] * 103)

    world.records(repository_name=repository, owner=owner_of(stack, "L" * 255)).write(X.hex, Record(), None)

    assert len(world.home.texts) == 1


DIGEST = {"RepositoryName": "acme/agent", "ImageTags": ["1"], "Source": {"Digest": str(X)}}
TAG = {"RepositoryName": "acme/agent", "ImageTags": ["1"], "Source": {"Tag": "stable"}}


@pytest.mark.parametrize(
    ("properties", "segment"),
    [
        (DIGEST, UNDO),
        ({**DIGEST, "OnTagRemoved": "Untag"}, X.hex),
        ({**DIGEST, "OnDelete": "Delete"}, X.hex),
        ({**DIGEST, "StateParameterName": FIRST_NAME}, X.hex),
        ({**DIGEST, "ImageTags": []}, X.hex),
        (TAG, MOVING),
        ({**TAG, "OnDelete": "Delete"}, MOVING),
        ({**TAG, "ImageDigest": str(Y)}, UNDO),
        ({**TAG, "ImageDigest": str(Y), "OnTagRemoved": "Untag"}, Y.hex),
    ],
)
def test_the_segment_depends_on_the_declaration(properties: dict[str, object], segment: str) -> None:
    declaration = decode(properties)

    assert record_segment(declaration) == segment
    assert always_has_record(declaration) == (segment != UNDO)
    assert owns_tags(declaration) == (len(properties) - ("ImageDigest" in properties) > 3 or not declaration.tags)


def test_a_record_that_shares_a_tag_is_stored_below_the_image() -> None:
    assert record_segment(decode(DIGEST), shares=True) == X.hex
    assert record_segment(decode(TAG), shares=True) == MOVING


def test_a_stored_record_is_read_back(world: World) -> None:
    record = Record(stack=STACK, tags=("1",))
    world.put(X.hex, record, OURS)

    assert world.records().read(X.hex) == record
    assert world.records().read(Y.hex) is None
    assert world.records(owner=OTHER).read(X.hex) is None


def test_does_not_rewrite_a_record_that_is_already_stored(world: World) -> None:
    record = Record(stack=STACK, tags=("1",))

    world.records().write(X.hex, record, record)
    assert world.home.asked == []
    world.records().write(X.hex, replace(record, tags=("2",)), record)
    assert world.home.asked == [f"write {FOLDER}/{X.hex}/{OURS}"]


@pytest.mark.parametrize("text", ["", "null", "{}", "[" * 10_000, A_LATER_VERSION])
def test_an_unreadable_record_allows_nothing(world: World, text: str) -> None:
    world.home.texts[f"{FOLDER}/{X.hex}/{OURS}"] = text
    world.first.texts[FIRST_NAME] = text

    assert world.records().read(X.hex) == world.records().read_first() == UNREADABLE
    assert (UNREADABLE.tags, UNREADABLE.found, UNREADABLE.existed) == (None, None, None)


def test_reads_a_record_of_the_first_version_from_its_old_parameter(world: World) -> None:
    state = {"resource": "ecr-public:…", "tags": ["1"], "digests": {"k": str(X)}, "before": None}
    world.first.texts[FIRST_NAME] = json.dumps(state)

    record = world.records().read_first()

    assert record is not None
    assert (record.tags, record.latest) == (("1",), X)
    assert world.home.asked == []


def test_without_a_parameter_name_there_is_no_record_of_the_first_version(world: World) -> None:
    assert world.records(first_name="").read_first() is None
    assert world.first.asked == []


def test_records_are_deleted_one_by_one(world: World) -> None:
    for segment in (X.hex, MOVING, UNDO):
        world.put(segment, Record(), OURS)
    world.first.texts[FIRST_NAME] = "{}"

    world.records().end(X.hex, X.hex, UNDO)
    assert list(world.home.texts) == [f"{FOLDER}/moving/{OURS}"]
    assert list(world.first.texts) == [FIRST_NAME]

    world.records().end(MOVING, first=True)
    assert (world.home.texts, world.first.texts) == ({}, {})


def test_the_records_of_an_image_own_it_and_their_tags(world: World) -> None:
    world.put(X.hex, Record(tags=("1", "latest")))
    world.put(Y.hex, Record(tags=("2",)))

    owners = world.owners()

    assert owners == Owners(tags={"1": X, "latest": X}, digests=frozenset({X}))
    assert (owners.own("1"), owners.own("2"), owners.own_image(X), owners.own_image(Y)) == (True, False, True, False)


def test_a_declaration_without_tags_owns_its_image(world: World) -> None:
    world.put(X.hex, Record())

    assert world.owners() == Owners(digests=frozenset({X}))


def test_a_resource_does_not_count_its_own_record(world: World) -> None:
    world.put(X.hex, Record(tags=("1",)), OURS)
    world.put(MOVING, Record(tags=("2",), deployed={"k": X}), OURS)

    assert world.owners() == Owners()


@pytest.mark.parametrize("owner", ["us-east-1.Agent.Release", "eu-west-1.Other.Release", "eu-west-1.Agent.Other"])
def test_the_same_resource_of_another_region_or_stack_is_another_owner(world: World, owner: str) -> None:
    world.put(X.hex, Record(tags=("1",)), owner)

    assert world.owners().own("1")


def test_a_moving_source_owns_its_tags_on_every_image(world: World) -> None:
    world.put(MOVING, Record(tags=("latest",), deployed={"before": X, "now": Y}))

    for digest in (X, Y, Digest.of(b"another")):
        assert world.owners(digest) == Owners(tags={"latest": Y}, digests=frozenset({X, Y}))


@pytest.mark.parametrize(
    ("owner", "record", "updated", "is_owner"),
    [
        ("eu-west-1.Agent.Other", Record(sent=100.0, tags=("1",)), {"Other"}, False),
        ("eu-west-1.Agent.Other", Record(sent=100.0, tags=("1",)), {"Another"}, True),
        ("eu-west-1.Agent.Other", Record(sent=100.0, tags=None), {"Other"}, False),
        ("eu-west-1.Agent.Other", Record(sent=100.0, tags=("2",)), {"Other"}, None),
        ("eu-west-1.Other.Other", Record(sent=100.0, tags=("1",)), {"Other"}, True),
        ("us-east-1.Agent.Other", Record(sent=100.0, tags=("1",)), {"Other"}, True),
    ],
    ids=[
        "earlier, updated since",
        "earlier, still deployed",
        "all tags, updated since",
        "another tag",
        "another stack",
        "another Region",
    ],
)
def test_a_record_kept_for_a_rollback_does_not_own_a_tag_that_its_stack_declares_again(
    world: World, owner: str, record: Record, updated: set[str], *, is_owner: bool | None
) -> None:
    world.put(X.hex, record, owner)
    world.updated = updated

    owners = world.records().owners(X, ["1"], 200.0)

    assert (owners.own("1"), owners.own_image(X)) == (bool(is_owner), True)
    assert world.asked_for == (["Other"] if owner.startswith("eu-west-1.Agent.") and is_owner is not None else [])


def test_a_moving_source_that_was_never_deployed_owns_its_tags(world: World) -> None:
    world.put(MOVING, Record(tags=("latest",)))

    assert world.owners() == Owners(tags={"latest": None})


def test_a_record_that_only_an_undo_needs_owns_nothing(world: World) -> None:
    world.put(UNDO, Record(tags=("1",), found={"1": X}))

    assert world.owners() == Owners()


@pytest.mark.parametrize("segment", [X.hex, MOVING])
@pytest.mark.parametrize("text", [A_LATER_VERSION, "", Record(tags=None).text()], ids=["later", "broken", "too long"])
def test_a_record_with_unknown_tags_owns_every_tag(world: World, segment: str, text: str) -> None:
    world.home.texts[f"{FOLDER}/{segment}/{OTHER}"] = text

    owners = world.owners()

    assert not owners.is_complete
    assert owners.own("anything")
    assert owners.own_image(Y)


def test_an_unreadable_record_of_another_image_forbids_nothing(world: World) -> None:
    world.home.texts[f"{FOLDER}/{Y.hex}/{OTHER}"] = A_LATER_VERSION

    assert world.owners() == Owners()


def test_a_leftover_record_owns_nothing_and_is_found_by_its_image(world: World) -> None:
    world.put(X.hex, Record(tags=("1", "2"), left_over=True))
    world.put(X.hex, Record(tags=("3",)), "eu-west-1.Agent.Living")
    world.put(Y.hex, Record(tags=("4",), left_over=True))

    assert world.owners() == Owners(tags={"3": X}, digests=frozenset({X}))
    name = f"{FOLDER}/{X.hex}/{OTHER}"
    assert world.records().pending_removals(X) == {name: Removal(tags=("1", "2"), image=True)}

    world.records().delete_record(name)
    assert world.records().pending_removals(X) == {}


def test_other_records_of_the_first_version_own_their_tags(world: World) -> None:
    state = {"resource": "ecr-public:…", "tags": ["1"], "digests": {"k": str(X)}, "before": None}
    world.first.texts = {
        FIRST_NAME: json.dumps({**state, "tags": ["ours"]}),
        "/cdk-ecrpublic/acme/agent/Agent.Other": json.dumps(state),
        "/cdk-ecrpublic/acme/other/Agent.Else": json.dumps({**state, "tags": ["elsewhere"]}),
        "/cdk-ecrpublic/acme/agent/Agent.Ended": json.dumps({**state, "resource": "", "tags": ["ended"]}),
    }

    assert world.owners(Y) == Owners(tags={"1": X}, digests=frozenset({X}))


def test_an_unreadable_record_of_the_first_version_owns_every_tag(world: World) -> None:
    world.first.texts["/cdk-ecrpublic/acme/agent/Agent.Other"] = "{}"

    assert not world.owners().is_complete


def test_a_query_reads_the_records_of_one_image_and_of_all_moving_sources(world: World) -> None:
    """Its cost does not grow with the number of images that are declared by digest."""
    for number in range(50):
        world.put(Digest.of(str(number).encode()).hex, Record(tags=(str(number),)))
    world.home.asked.clear()

    world.records(first_name="").owners(X)

    assert world.home.asked == [f"list {FOLDER}/{X.hex}", f"list {FOLDER}/moving"]
    assert world.first.asked == []

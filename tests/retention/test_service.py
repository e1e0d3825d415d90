"""Removals in a repository of the sandbox, with boto3 and sockets: lost responses and stale reads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from cdk_ecrpublic.sandbox import Fault, Sandbox
from cdk_ecrpublic.sandbox import Settings as Behavior
from cdk_ecrpublic.sandbox.images import Image, build_image, push_image
from lambda_handler.clock import Deadline, SystemClock
from lambda_handler.entrypoint import Clients
from lambda_handler.log import Log
from lambda_handler.retention.decision import Retention
from lambda_handler.retention.entrypoint import Settings, make_run
from lambda_handler.retention.run import Report, Run
from lambda_handler.retry import Retry
from tests.retention.world import EVERYTHING, World

REPOSITORY = "acme/agent"
TWO_DAYS = 2 * 86_400.0


@dataclass
class Registry:
    """A sandbox with a repository. Declarations and stored objects are in memory."""

    sandbox: Sandbox
    world: World = field(default_factory=World)

    @property
    def client(self) -> Any:
        return self.sandbox.client("ecr-public")

    def push(self, name: str, *tags: str, platforms: Sequence[str] = ("linux/amd64", "linux/arm64")) -> Image:
        image = build_image({"etc/name": name.encode()}, platforms=platforms)
        push_image(self.sandbox, REPOSITORY, image, tags)
        return image

    def tag(self, image: Image, tag: str) -> None:
        """Tag an image, as a person does."""
        self.client.put_image(
            repositoryName=REPOSITORY,
            imageManifest=image.manifest.decode(),
            imageManifestMediaType=image.media_type,
            imageTag=tag,
        )

    def images(self) -> dict[str, set[str]]:
        """Return the tags of each image."""
        found = self.client.describe_images(repositoryName=REPOSITORY)["imageDetails"]
        return {each["imageDigest"]: set(each.get("imageTags", ())) for each in found}

    def run(self, seconds: float = 60.0) -> Run:
        """Start a run for which all images are two days old and expired."""
        policy = {"rules": [{"rulePriority": 1, "selection": SELECTION, "action": {"type": "expire"}}]}
        settings = Settings.parse({"repositoryName": REPOSITORY, "policy": policy, "regions": ["us-east-1"]})
        retry = Retry(Deadline.after(seconds, SystemClock()), Log(), permissions_may_be_new=False)
        run = make_run(settings, Clients(), retry, time.time() + TWO_DAYS, with_state=False)
        other = self.world.run()
        return replace(run, declarations=other.declarations, storage=self.world, retention=Retention(rules=EVERYTHING))

    def remove(self) -> Report:
        return self.run().remove()


SELECTION = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    with Sandbox() as sandbox:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        sandbox.client("ecr-public").create_repository(repositoryName=REPOSITORY)
        yield Registry(sandbox)


def test_removes_an_index_with_its_children(registry: Registry) -> None:
    registry.push("old", "0.9")
    registry.push("untagged")

    report = registry.remove()

    assert (report.problem, len(report.removed)) == ("", 6)
    assert registry.images() == {}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_response_to_the_removal_of_tags_loses_nothing(registry: Registry, when: Any) -> None:
    registry.push("old", "0.9", "0.9.1")
    registry.sandbox.faults.add(Fault(operation="BatchDeleteImage", drop=when))

    assert registry.remove().problem == ""
    assert registry.images() == {}


def test_puts_back_untagged_images_if_the_response_to_their_removal_is_lost(registry: Registry) -> None:
    """The next run removes them, when they are old enough again."""
    image = registry.push("old", platforms=("linux/amd64",))
    registry.sandbox.faults.add(Fault(operation="BatchDeleteImage", drop="after"))

    report = registry.remove()

    assert (report.problem, report.removed) == ("", frozenset())
    assert registry.images().keys() == {image.digest}
    assert registry.remove().problem == ""
    assert registry.images() == {}


def test_reports_a_response_that_is_never_received_and_loses_no_image(registry: Registry) -> None:
    image = registry.push("old", platforms=("linux/amd64",))
    registry.sandbox.faults.add(Fault(operation="BatchDeleteImage", drop="after", times=None))

    assert registry.remove().problem.startswith("stopped: ")
    assert registry.images().keys() == {image.digest}


def test_puts_tags_back_although_the_response_to_that_is_lost(registry: Registry) -> None:
    image = registry.push("old", "0.9")
    run = registry.run()
    removing = run.repository.remove_tags

    def tagged_first(*arguments: Any) -> Any:
        registry.tag(image, "2.0")
        registry.sandbox.faults.add(Fault(operation="PutImage", drop="after"))
        return removing(*arguments)

    run.repository = _Hooked(run.repository, remove_tags=tagged_first)
    report = run.remove()

    assert (report.problem, report.removed) == ("", frozenset())
    assert registry.images()[image.digest] == {"0.9", "2.0"}


class _Hooked:
    """A repository with replaced methods."""

    def __init__(self, repository: object, **methods: Any) -> None:
        self._repository = repository
        self.__dict__ |= methods

    def __getattr__(self, name: str) -> Any:
        return getattr(self._repository, name)


def test_stale_reads_bring_nothing_back(registry: Registry) -> None:
    registry.push("old", "0.9", platforms=("linux/amd64",))
    time.sleep(1.5)
    registry.sandbox.settings = Behavior(read_lag_describe_seconds=1.5)

    report = registry.remove()

    assert (report.problem, len(report.removed)) == ("", 1)
    registry.sandbox.settings = Behavior()
    assert registry.images() == {}


def test_retries_children_that_the_service_still_refuses_to_remove(registry: Registry) -> None:
    registry.push("old", "0.9")
    registry.sandbox.settings = Behavior(removed_index_lag_seconds=3)

    report = registry.remove()

    assert (report.problem, report.pending, len(report.removed)) == ("", frozenset(), 3)
    assert registry.images() == {}


def test_leaves_children_that_cannot_be_removed_in_time_for_the_next_run(registry: Registry) -> None:
    image = registry.push("old", "0.9")
    registry.sandbox.settings = Behavior(removed_index_lag_seconds=3600)

    report = registry.run(seconds=17).remove()

    assert report.problem == ""
    assert {str(digest) for digest in report.pending} == {child.digest for child in image.children}
    registry.sandbox.settings = Behavior()
    assert registry.remove().problem == ""
    assert registry.images() == {}

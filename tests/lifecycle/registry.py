"""The registry of the random histories: a few images, and people who move and delete tags."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from cdk_ecrpublic.sandbox import Sandbox
from cdk_ecrpublic.sandbox.faults import Faults
from cdk_ecrpublic.sandbox.images import Image, build_image
from cdk_ecrpublic.sandbox.store.state import Registry, Repository
from cdk_ecrpublic.sandbox.store.timeline import View
from lambda_handler.oci import Digest, ManifestMediaType
from tests.support.pushed import push_image

from .scheduler import Scheduler

HOMES = ("acme/agent", "acme/other")
"""Repositories that stacks publish to."""

UPSTREAM = "acme/upstream"
"""The repository that they copy from. No stack may change it."""

SOURCE_TAG = "build"
"""A source tag in these repositories, which no stack declares."""

UPSTREAM_TAGS = ("edge", "stable")

UNUSED_TAG = "somebody-else"
"""A tag in these repositories that no stack uses."""

IMAGES = tuple(build_image({"etc/name": name.encode()}) for name in ("first", "second", "third"))
MULTI_ARCH = build_image({"etc/name": b"both"}, platforms=("linux/amd64", "linux/arm64"))
RESIDENT = (*IMAGES, MULTI_ARCH)
"""Images in these repositories."""

FOREIGN = (
    build_image({"etc/name": b"upstream"}),
    build_image({"etc/name": b"upstream of both"}, platforms=("linux/amd64", "linux/arm64")),
)
"""Images in the upstream repository."""


def index_of(*images: Image) -> str:
    """Return an index of images."""
    entries = [{"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)} for image in images]
    return json.dumps({"schemaVersion": 2, "mediaType": ManifestMediaType.OCI_INDEX, "manifests": entries})


NEW_INDEX = index_of(*IMAGES[:2])
"""An index that is in no repository at first. Its children are."""

CHILDREN = {
    **{image.digest: frozenset(child.digest for child in image.children) for image in (*RESIDENT, *FOREIGN)},
    str(Digest.of(NEW_INDEX.encode())): frozenset(image.digest for image in IMAGES[:2]),
}
"""The children of each index."""

_NAMES = {
    **{image.digest: f"<{name}>" for image, name in zip(RESIDENT, ("first", "second", "third", "both"), strict=True)},
    **{image.digest: f"<upstream {number}>" for number, image in enumerate(FOREIGN, 1)},
    **{
        child.digest: f"<part of {name}>"
        for image, name in zip((MULTI_ARCH, *FOREIGN), ("both", "upstream 1", "upstream 2"), strict=True)
        for child in image.children
    },
    str(Digest.of(NEW_INDEX.encode())): "<new index>",
}

_BODIES = {repr(image.manifest.decode()): _NAMES[image.digest] for image in RESIDENT} | {repr(NEW_INDEX): "<new index>"}

REPEATED = " (and again)"

CONSISTENT_AFTER_SECONDS = 600.0
"""How many seconds after a write every read shows it."""

Tags = dict[tuple[str, str], str]
"""Digests, by repository and tag."""


@dataclass(frozen=True)
class State:
    """
    The content of the registry.

    Attributes:
        images: The digests by repository, with or without tags.
    """

    tags: Tags
    images: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class ManualAction:
    """
    An action of a person.

    Attributes:
        after_seconds: The time since the concurrent deployments began.
    """

    after_seconds: float
    kind: Literal["put a tag", "delete a tag", "delete an image"]
    repository: str
    tag: str = ""
    image: int = 0


@dataclass
class ManualChanges:
    """
    The results of people's actions.

    Attributes:
        tags: The images that they moved each tag to, the latest last; None if they deleted it.
        images: The images that they deleted, by repository.
        pushed: The images that they pushed, by repository.
    """

    tags: dict[tuple[str, str], list[str | None]] = field(default_factory=dict)
    images: dict[str, set[str]] = field(default_factory=dict)
    pushed: dict[str, set[str]] = field(default_factory=dict)

    def add(self, before: State, after: State) -> None:
        """Add the difference between two states."""
        for key in before.tags.keys() | after.tags.keys():
            if before.tags.get(key) != after.tags.get(key):
                self.tags.setdefault(key, []).append(after.tags.get(key))
        for name, images in before.images.items():
            self.images.setdefault(name, set()).update(images - after.images[name])
            self.pushed.setdefault(name, set()).update(after.images[name] - images)


@dataclass
class World:
    """A sandbox that can be reset quickly, and the virtual time that it shares with the functions."""

    sandbox: Sandbox
    scheduler: Scheduler = field(default_factory=Scheduler)
    beginning: dict[str, Registry] = field(default_factory=dict)
    log_lines: list[str] = field(default_factory=list)
    lag_seconds: float = 0.0
    manual_changes: ManualChanges = field(default_factory=ManualChanges)

    def __post_init__(self) -> None:
        self.sandbox.store.clock = lambda: self.scheduler.time
        for name in (*HOMES, UPSTREAM):
            self._client.create_repository(repositoryName=name)
        for home in HOMES:
            for image in RESIDENT:
                push_image(self.sandbox, home, image)
            push_image(self.sandbox, home, IMAGES[0], [SOURCE_TAG, UNUSED_TAG])
        for image, tag in zip(FOREIGN, UPSTREAM_TAGS, strict=True):
            push_image(self.sandbox, UPSTREAM, image, [tag])
        assert self._upstream  # created before there are faults
        self.beginning = copy.deepcopy(self.sandbox.store.registries)

    def reset(self) -> None:
        """Reset everything."""
        self.scheduler.reset()
        self.log_lines.clear()
        with self.sandbox.store.lock:
            self.sandbox.store.registries.clear()
            self.sandbox.store.registries.update(copy.deepcopy(self.beginning))
        self.clear_faults()

    def clear_faults(self, seconds: float = CONSISTENT_AFTER_SECONDS) -> None:
        """Remove all faults, and let time pass; by default, until reads show every write."""
        self.sandbox.faults.clear()
        self.sandbox.requests.clear()
        self.lag(0.0)
        self.scheduler.pass_by(seconds)

    def lag(self, seconds: float) -> None:
        """Make reads return the state of *seconds* ago."""
        self.lag_seconds = seconds
        self.sandbox.settings = type(self.sandbox.settings)(
            read_lag_describe_seconds=seconds, read_lag_digest_seconds=seconds, read_lag_tag_seconds=seconds
        )

    def log(self, text: str) -> None:
        """Add a line to the history, without repetitions."""
        text = with_names(text)
        if self.log_lines and self.log_lines[-1][9:].removesuffix(REPEATED).strip() == text.strip():
            self.log_lines[-1] = self.log_lines[-1].removesuffix(REPEATED) + REPEATED
        else:
            self.log_lines.append(f"{self.scheduler.time:9.2f} {text}")

    def state(self) -> State:
        tags = {(name, tag): str(found.digest) for name, home in self._repositories for tag, found in home.all_tags()}
        images = {
            name: frozenset(str(image.digest) for image in home.all_images()) for name, home in self._repositories
        }
        return State(tags, images)

    def known_tags(self) -> set[tuple[str, str]]:
        """Return all tags that ever existed."""
        return {(name, tag) for name, home in self._repositories for tag in home.tags}

    def since(self, repository: str, tag: str, when: float) -> set[str | None]:
        """Return all digests of a tag since *when*; None if it did not exist."""
        timeline = self._repository(repository).tags.get(tag)
        if timeline is None:
            return {None}
        changes = timeline._changes  # noqa: SLF001 - the sandbox has no API for past states
        first = max((number for number, (at, _) in enumerate(changes) if at <= when), default=None)
        values = [value for _, value in changes[first or 0 :]]
        return {str(value.digest) if value else None for value in values} | ({None} if first is None else set())

    def just_put(self, repository: str, seconds: float) -> set[str]:
        """Return the images that did not exist a number of seconds ago."""
        then, home = View(now=self.scheduler.time, lag_seconds=seconds), self._repository(repository)
        return {str(image.digest) for image in home.all_images() if not home.image(image.digest, then)}

    def do(self, action: ManualAction) -> None:
        """Carry out the action of a person. Removing the last tag of an image deletes the image."""
        before = self.state()
        images = FOREIGN if action.repository == UPSTREAM else RESIDENT
        image = images[action.image % len(images)]
        with self._without_faults():
            match action.kind:
                case "put a tag":
                    push_image(self.sandbox, action.repository, image, [action.tag])
                case "delete a tag":
                    self._delete(action.repository, {"imageTag": action.tag})
                case "delete an image":
                    self._delete(action.repository, {"imageDigest": image.digest})
        what = image.digest if action.kind == "delete an image" else f"{action.tag} ({image.digest})"
        self.log(f"a person: {action.kind}, {action.repository} {what}")
        self.manual_changes.add(before, self.state())

    @contextmanager
    def _without_faults(self) -> Iterator[None]:
        """Suspend the faults, because people repeat their actions until they succeed."""
        world = self.sandbox.world
        faults, world.faults = world.faults, Faults()
        try:
            yield
        finally:
            world.faults = faults

    def _delete(self, repository: str, image_id: Mapping[str, str]) -> None:
        self._client.batch_delete_image(repositoryName=repository, imageIds=[image_id])

    def restore_sources(self) -> None:
        """Restore the source images and tags that people deleted."""
        before = self.state()
        for home in HOMES:
            for image in (*RESIDENT, *FOREIGN):
                push_image(self.sandbox, home, image)
            if (home, SOURCE_TAG) not in before.tags:
                push_image(self.sandbox, home, IMAGES[0], [SOURCE_TAG])
        self.manual_changes.add(before, self.state())
        self.log("a person restores the deleted sources")

    def upstream(self, reference: str) -> str:
        """Return a reference to an upstream image: ``:edge`` or ``@sha256:…``."""
        return f"{self._upstream}{reference}"

    def resolve(self, properties: Mapping[str, Any], when: float) -> set[str | None]:
        """
        Return all digests of the source of *properties* since *when*; None if the image did not exist.

        An image that people have deleted since may have existed at that time.
        """
        home, source = str(properties["RepositoryName"]), properties["Source"]
        match source:
            case {"Digest": digest}:
                return self._existing(home, str(digest), [digest])
            case {"Tag": tag}:
                return self.since(home, tag, when)
            case {"Manifest": {"Body": body}}:
                return self._existing(home, str(Digest.of(body.encode())), _children(json.loads(body)))
            case {"Image": {"Reference": reference}}:
                digest, tag = reference.partition("@")[2], reference.rpartition(":")[2]
                return {digest} if digest else self.since(UPSTREAM, tag, when)
        raise AssertionError(source)

    def _existing(self, home: str, digest: str, parts: Collection[str]) -> set[str | None]:
        held = self.state().images[home]
        if held.issuperset(parts):
            return {digest}
        return {digest, None} if (held | self.manual_changes.images.get(home, set())).issuperset(parts) else {None}

    @cached_property
    def _client(self) -> Any:
        return self.sandbox.client("ecr-public")

    @property
    def _repositories(self) -> Iterator[tuple[str, Repository]]:
        return iter(self.sandbox.store.registry_of(self.sandbox.account).repositories.items())

    def _repository(self, name: str) -> Repository:
        return self.sandbox.store.registry_of(self.sandbox.account).repositories[name]

    @cached_property
    def _upstream(self) -> str:
        described = self._client.describe_repositories(repositoryNames=[UPSTREAM])["repositories"][0]
        return str(described["repositoryUri"])


def with_names(text: str) -> str:
    """Replace digests by names, and shorten records."""
    for known, name in _BODIES.items():
        text = text.replace(known, name)
    text = re.sub('"(?:version|stack|request)":[^,]*,', "", text)
    return re.sub("sha256:[0-9a-f]{64}", lambda match: _NAMES.get(match[0], match[0][:14]), text)


def _children(manifest: Mapping[str, Any]) -> list[str]:
    return [child["digest"] for child in manifest.get("manifests", [])]

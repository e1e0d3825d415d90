"""A repository in memory for retention, with changes by people and failures at chosen calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lambda_handler.clock import Deadline
from lambda_handler.errors import ImageError
from lambda_handler.log import Log
from lambda_handler.oci import Digest, Manifest
from lambda_handler.retention.decision import Declared, Retention
from lambda_handler.retention.inventory import Image, subject_of_tag
from lambda_handler.retention.lifecycle import DAY_SECONDS, parse_policy
from lambda_handler.retention.run import Run
from lambda_handler.retry import Retry
from tests.support.clock import SteppingClock
from tests.support.memory import MemoryRepository

NOW = 1_790_000_000.0

_OLD = {"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1}
EVERYTHING = parse_policy({"rules": [{"rulePriority": 1, "selection": _OLD, "action": {"type": "expire"}}]})
"""A policy under which everything older than a day expires."""


@dataclass
class Unread:
    """
    What people have pushed and declared, and how much of it a run has read.

    A run lists the images first, and decides when it has read the declarations.
    """

    pushed: list[Digest] = field(default_factory=list)
    declared: list[Digest] = field(default_factory=list)
    listed: int = 0
    read: tuple[int, int] = (0, 0)

    @property
    def digests(self) -> set[Digest]:
        pushed, declared = self.read
        return {*self.pushed[pushed:], *self.declared[declared:]}

    def list_images(self) -> None:
        self.listed = len(self.pushed)

    def read_declarations(self) -> None:
        self.read = self.listed, len(self.declared)


@dataclass
class World:
    """
    A repository, the declarations of the stacks, and stored objects.

    Attributes:
        at: Actions before a call, by its number: a change by a person, or an error.
        calls: The number of calls so far.
        tagged: The tags that people have put since the run began, each with its image and the call before which.
        listed_at: The call by which the run listed the images for the first time.
        unread: What people have pushed or declared since the run read the repository and the declarations.
        exposed: What was pushed or declared while a batch was being removed, which comes too late for its parts.
        skipped: The images that lists lack although they exist.
        unreadable: Why the declarations cannot be read.
    """

    repository: MemoryRepository = field(default_factory=MemoryRepository)
    pushed: dict[Digest, float] = field(default_factory=dict)
    declared: Declared = field(default_factory=Declared)
    objects: dict[str, bytes] = field(default_factory=dict)
    at: dict[int, Callable[[], None]] = field(default_factory=dict)
    calls: int = 0
    tagged: dict[str, tuple[Digest, int]] = field(default_factory=dict)
    listed_at: int | None = None
    unreadable: ImageError | None = None
    unread: Unread = field(default_factory=Unread)
    exposed: set[Digest] = field(default_factory=set)
    skipped: set[Digest] = field(default_factory=set)

    # The ports.

    name, registry_id = "acme/agent", "123456789012"

    def images(self) -> Iterator[Image]:
        self._call()
        self.listed_at = self.calls if self.listed_at is None else self.listed_at
        self.unread.list_images()
        tags = self.repository.tags_of(list(self.repository.images))
        for digest in list(self.repository.images):
            if digest in self.skipped:
                continue
            yield Image(digest=digest, tags=tags[digest], pushed=self.pushed[digest], size=1000)

    def manifest(self, digest: Digest) -> Manifest:
        self._call()
        return self.repository.manifest(digest)

    def tags_of(self, digests: Iterable[Digest]) -> Mapping[Digest, frozenset[str]]:
        self._call()
        return self.repository.tags_of(digests)

    @property
    def unanswered(self) -> set[Digest]:
        return self.repository.unanswered

    def resolve(self, tags: Sequence[str]) -> Mapping[str, Digest]:
        self._call()
        return self.repository.resolve(tags)

    def put(self, manifest: Manifest, tag: str | None) -> bool:
        self._call()
        self.pushed.setdefault(manifest.digest, NOW)
        return self.repository.put(manifest, tag)

    def remove_tags(self, digest: Digest, tags: Sequence[str]) -> tuple[Sequence[tuple[Digest, str]], frozenset[str]]:
        self._call()
        self.exposed |= self.unread.digests
        return self.repository.remove_tags(digest, tags)

    def remove_images(self, digests: Sequence[Digest]) -> tuple[Sequence[tuple[Digest, str]], frozenset[Digest]]:
        self._call()
        self.exposed |= self.unread.digests
        return self.repository.remove_images(digests)

    def read_declared(self) -> Declared:
        self._call()
        if self.unreadable is not None:
            raise self.unreadable
        self.unread.read_declarations()
        return self.declared

    def read(self, key: str) -> tuple[bytes | None, str]:
        self._call()
        content = self.objects.get(key)
        return content, "" if content is None else str(Digest.of(content))

    def write(self, key: str, content: bytes, version: str | None = None) -> bool:
        self._call()
        before = self.objects.get(key)
        if version is not None and version != ("" if before is None else str(Digest.of(before))):
            return False
        self.objects[key] = content
        return True

    def _call(self) -> None:
        self.calls += 1
        if action := self.at.pop(self.calls, None):
            action()

    # What people and stacks do.

    def push(self, name: str, *tags: str, days: float = 9, children: Sequence[Manifest] = ()) -> Manifest:
        """Push an image, or an index of *children*."""
        repository = self.repository
        there = set(repository.images)
        manifest = repository.add_index(*children) if children else repository.add(name.encode())
        if manifest.digest not in there:
            self.pushed[manifest.digest] = NOW - days * DAY_SECONDS
        self.unread.pushed.append(manifest.digest)
        repository.tags |= dict.fromkeys(tags, manifest.digest)
        return manifest

    def tag(self, digest: Digest, tag: str) -> None:
        """Tag an image, if it still exists."""
        if digest in self.repository.images:
            # A put of a tag to its own image leaves no trace: the service answers that it exists already.
            if self.repository.tags.get(tag) != digest:
                self.tagged[tag] = digest, self.calls
            self.repository.tags[tag] = digest

    def tagged_since_listed(self) -> dict[str, Digest]:
        """Return the tags that people have put since the run listed the images."""
        listed = self.calls if self.listed_at is None else self.listed_at
        return {tag: digest for tag, (digest, call) in self.tagged.items() if call > listed}

    def declare(self, digest: Digest) -> None:
        """Declare an image by its digest."""
        self.declared = replace(self.declared, digests={**self.declared.digests, digest: "Stack"})
        self.unread.declared.append(digest)

    def fail(self, error: ImageError) -> Callable[[], None]:
        """Return an action that raises an error."""

        def action() -> None:
            raise error

        return action

    def run(self, limit: int = 1000) -> Run:
        """Begin a run."""
        self.tagged, self.listed_at, self.unread, self.exposed = {}, None, Unread(), set()
        return self.second_run(limit)

    def second_run(self, limit: int = 1000) -> Run:
        """Begin a run while another one is in progress."""
        return Run(
            repository=self,
            declarations=_Declarations(self),
            retention=Retention(rules=EVERYTHING),
            storage=self,
            retry=Retry(Deadline.after(100_000, SteppingClock()), Log()),
            now=NOW,
            limit=limit,
        )

    def lose_response(self) -> None:
        """Lose the response to the next removal of tags, so that its retry finds them gone."""
        removing = self.repository.remove_tags

        def lost(digest: Digest, tags: Sequence[str]) -> tuple[list[tuple[Digest, str]], frozenset[str]]:
            self.repository.remove_tags = removing  # type: ignore[method-assign]
            removing(digest, tags)
            return removing(digest, tags)

        self.repository.remove_tags = lost  # type: ignore[method-assign]

    def refuse(self, digest: Digest, times: int) -> None:
        """Refuse to remove an image, as if an index listed it, this number of times."""
        left, listed = [times], self.repository.is_listed

        def is_listed(found: Digest) -> bool:
            if found == digest and left[0] > 0:
                left[0] -= 1
                return True
            return listed(found)

        self.repository.is_listed = is_listed  # type: ignore[method-assign,assignment]

    def attachments(self) -> set[tuple[Digest, Digest]]:
        """Return the signatures by cosign's tags, each with its subject, as far as both exist."""
        images = self.repository.images.keys()
        named = {(digest, subject_of_tag(tag)) for tag, digest in self.repository.tags.items()}
        return {(digest, subject) for digest, subject in named if subject is not None and subject in images}

    def broken_indexes(self) -> list[str]:
        """Return the indexes that lack a child."""
        images = self.repository.images
        return [
            str(digest)
            for digest, manifest in images.items()
            if any(child.digest not in images for child in manifest.children)
        ]


@dataclass(frozen=True)
class _Declarations:
    world: World

    def read(self) -> Declared:
        return self.world.read_declared()

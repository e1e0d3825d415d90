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
class World:
    """
    A repository, the declarations of the stacks, and stored objects.

    Attributes:
        at: Actions before a call, by its number: a change by a person, or an error.
        calls: The number of calls so far.
        tagged: The tags that people have put since the run listed the images, with their images.
        skipped: The images that lists lack although they exist.
        unreadable: Why the declarations cannot be read.
    """

    repository: MemoryRepository = field(default_factory=MemoryRepository)
    pushed: dict[Digest, float] = field(default_factory=dict)
    declared: Declared = field(default_factory=Declared)
    objects: dict[str, bytes] = field(default_factory=dict)
    at: dict[int, Callable[[], None]] = field(default_factory=dict)
    calls: int = 0
    tagged: dict[str, Digest] = field(default_factory=dict)
    unreadable: ImageError | None = None
    is_listed: bool = False
    skipped: set[Digest] = field(default_factory=set)

    # The ports.

    name, registry_id = "acme/agent", "123456789012"

    def images(self) -> Iterator[Image]:
        self._call()
        self.is_listed = True
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
        return self.repository.remove_tags(digest, tags)

    def remove_images(self, digests: Sequence[Digest]) -> tuple[Sequence[tuple[Digest, str]], frozenset[Digest]]:
        self._call()
        return self.repository.remove_images(digests)

    def read_declared(self) -> Declared:
        self._call()
        if self.unreadable is not None:
            raise self.unreadable
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
        manifest = repository.add_index(*children) if children else repository.add(name.encode())
        self.pushed.setdefault(manifest.digest, NOW - days * DAY_SECONDS)
        repository.tags |= dict.fromkeys(tags, manifest.digest)
        return manifest

    def tag(self, digest: Digest, tag: str) -> None:
        """Tag an image, if it still exists."""
        if digest in self.repository.images:
            self.repository.tags[tag] = digest
            if self.is_listed:
                self.tagged[tag] = digest

    def declare(self, digest: Digest) -> None:
        """Declare an image by its digest."""
        self.declared = replace(self.declared, digests={**self.declared.digests, digest: "Stack"})

    def fail(self, error: ImageError) -> Callable[[], None]:
        """Return an action that raises an error."""

        def action() -> None:
            raise error

        return action

    def run(self, limit: int = 1000) -> Run:
        """Begin a run."""
        self.tagged, self.is_listed = {}, False
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

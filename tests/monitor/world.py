"""A stack, its repository, and the state and messages of a monitor in memory, with actions at chosen calls."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from lambda_handler.errors import ImageError
from lambda_handler.log import Log
from lambda_handler.monitor.entrypoint import check
from lambda_handler.monitor.ports import DeployedImage, Deployment
from lambda_handler.monitor.report import Cause, messages
from lambda_handler.monitor.run import Run
from lambda_handler.monitor.state import News
from lambda_handler.oci import Digest
from lambda_handler.publish.rule import Rule
from lambda_handler.sources.digest import DigestSource
from lambda_handler.spec import Declaration
from tests.support.memory import MemoryRepository

NOW = 1_790_000_000_000
OWNER = "us-east-1.Agent.Release"


@dataclass
class World:
    """
    Everything that a run meets.

    Attributes:
        version: The version of the stack, or empty while it is being deployed.
        at: Actions before a call, by its number: a change by a person, or an error.
        unreadable: Why the repository cannot be read.
        untold: Why no message can be sent.
        texts: All versions of the state.
        mail: The subjects and texts of the messages.
        lost_writes: The number of writes of the state that succeed without a response.
    """

    repository: MemoryRepository = field(default_factory=MemoryRepository)
    images: list[DeployedImage] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    version_now: str = "CREATE_COMPLETE 1"
    at: dict[int, Callable[[], None]] = field(default_factory=dict)
    calls: int = 0
    unreadable: ImageError | None = None
    untold: ImageError | None = None
    texts: list[str] = field(default_factory=lambda: ["{}"])
    mail: list[tuple[str, str]] = field(default_factory=list)
    log: io.StringIO = field(default_factory=io.StringIO)
    lost_writes: int = 0
    runs: int = 0

    name = "us-east-1.Agent"

    # The ports.

    @property
    def destination(self) -> MemoryRepository:
        self._call()
        if self.unreadable is not None:
            raise self.unreadable
        return self.repository

    def read(self) -> Deployment:
        self._call()
        return Deployment(version=self.version_now, images=self.images, problems=self.problems)

    def version(self) -> str:
        self._call()
        return self.version_now

    def _call(self) -> None:
        self.calls += 1
        if action := self.at.pop(self.calls, None):
            action()

    # What people and stacks do.

    def deploy(self, name: str, *tags: str, owner: str = OWNER, rules: Sequence[Rule] = ()) -> Digest:
        """Publish an image under its tags, as the stack declares it."""
        digest = self.repository.add(name.encode()).digest
        declaration = Declaration(
            repository_name="acme/agent", source=DigestSource(digest), tags=tags, rules=tuple(rules)
        )
        self.images.append(DeployedImage(owner=owner, declaration=declaration, digest=digest, ports=cast("Any", self)))
        self.repository.tags |= dict.fromkeys(tags, digest)
        return digest

    def move(self, tag: str, name: str = "other") -> Digest:
        """Move a tag by hand to another image."""
        digest = self.repository.add(name.encode()).digest
        self.repository.tags[tag] = digest
        return digest

    def run(self, *, repairs: bool = False, cause: Cause | None = None) -> dict[str, int]:
        """Run the monitor once."""

        def tell(news: News) -> None:
            found = list(messages(news, cause))
            if found and self.untold is not None:
                raise self.untold
            self.mail += found

        run = Run(stacks=[cast("Any", self)], log=Log(stream=self.log), repairs=repairs)
        self.runs += 1
        return check(run, Store(self.texts, self.lost_writes), tell, NOW, f"request {self.runs}")

    def told(self) -> list[str]:
        """Return the subjects of the messages since the last call."""
        subjects = [subject.removeprefix("ECR Public: ") for subject, _ in self.mail]
        self.mail.clear()
        return subjects

    def metrics(self) -> list[tuple[int, int]]:
        """Return the metrics of all runs: drift and unreadable."""
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [(line["drift"], line["unreadable"]) for line in lines if "_aws" in line]


@dataclass
class Store:
    """The state of one monitor."""

    texts: list[str]
    lost_writes: int = 0

    def read(self, version: int | None = None) -> tuple[str, int]:
        number = version or len(self.texts)
        return self.texts[number - 1], number

    def write(self, text: str) -> int:
        assert len(text.encode()) <= 4096
        # The response to this repeated write was lost.
        self.texts += [text] * (1 + self.lost_writes)
        return len(self.texts)

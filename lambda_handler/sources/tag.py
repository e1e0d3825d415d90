"""An image of the same repository, by one of its tags: a promotion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import NotFoundError
from ..oci import Platform, parse_tag
from ..publish.content import Content, present
from ..publish.ports import SourcePorts
from ..values import Value


@dataclass(frozen=True, slots=True)
class TagSource:
    """
    What a tag of the repository points to when it is deployed.

    Shape:
        ``"Tag": "build-77"``
    """

    tag: str

    @classmethod
    def decode(cls, value: Value) -> TagSource:
        """Read ``Source.Tag``."""
        return cls(value.parse(parse_tag))

    @property
    def pinned(self) -> None:
        """Nothing: a tag moves."""
        return None

    def resolve(self, ports: SourcePorts, platforms: Sequence[Platform]) -> Content:
        """Ask the API for the digest, then read the manifest by it: the HTTP face may answer a stale tag."""
        repository = ports.destination
        digest = repository.resolve([self.tag]).get(self.tag)
        if digest is None:
            message = f"the source tag {self.tag!r} does not exist in repository {repository.name!r}"
            hint = "push the image under that tag before deploying, or name one that exists"
            raise NotFoundError(message, operation="ecr-public:DescribeImages", hint=hint)
        return present(repository.manifest(digest), repository, platforms)

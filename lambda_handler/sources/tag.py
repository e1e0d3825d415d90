"""An image in the destination repository, by one of its tags: a promotion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import NotFoundError
from ..oci import Platform, parse_tag
from ..publish.content import Content, content_in_destination
from ..publish.ports import SourcePorts
from ..values import Value


@dataclass(frozen=True, slots=True)
class TagSource:
    """
    The image that a tag of the repository points to at deployment.

    Shape:
        ``"Tag": "build-77"``
    """

    tag: str

    @classmethod
    def decode(cls, value: Value) -> TagSource:
        """Decode ``Source.Tag``."""
        return cls(value.parse(parse_tag))

    @property
    def pinned(self) -> None:
        """None: a tag may move."""
        return None

    @property
    def copies(self) -> bool:
        """False: the image is in the repository."""
        return False

    @property
    def needs_login(self) -> bool:
        """True: the manifest is read."""
        return True

    def resolve(self, ports: SourcePorts, platforms: Sequence[Platform]) -> Content:
        """Resolve the tag with the control-plane API, because the registry API may return a stale image."""
        repository = ports.destination
        digest = repository.resolve([self.tag]).get(self.tag)
        if digest is None:
            message = f"the source tag {self.tag!r} does not exist in repository {repository.name!r}"
            hint = "push an image with that tag before deploying, or use a tag that exists"
            raise NotFoundError(message, operation="ecr-public:DescribeImages", hint=hint)
        return content_in_destination(repository.manifest(digest), repository, platforms)

"""What all kinds of source have in common."""

from __future__ import annotations

from typing import Protocol, Self

from ..oci import Manifest
from ..publish.ports import Ports
from ..values import Value


class Source(Protocol):
    """A kind of source."""

    @classmethod
    def decode(cls, value: Value) -> Self:
        """
        Read the source from its property.

        Raises:
            InvalidPropertiesError: All that is wrong with it.
        """

    def resolve(self, ports: Ports) -> Manifest:
        """
        Read the exact manifest that the source stands for now.

        Raises:
            NotFoundError: There is no such image.
            IntegrityError: It is not what it should be.
        """

"""An image of any registry, copied with all that it refers to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..errors import ImageError, NotFoundError, RemoteError
from ..oci import Digest, Platform, Reference
from ..publish.content import Content, copied, present
from ..publish.ports import SourcePorts
from ..values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryImageSource:
    """
    The image that a reference stands for when it is deployed.

    Shape:
        ``"Image": {"Reference": "ghcr.io/acme/agent@sha256:…"}`` and
        optionally ``"CredentialsSecretArn": "arn:aws:secretsmanager:…"``
    """

    reference: Reference
    credentials_secret_arn: str = ""

    @classmethod
    def decode(cls, value: Value) -> RegistryImageSource:
        """Read ``Source.Image``."""
        fields = value.fields({"Reference", "CredentialsSecretArn"})
        if "Reference" not in fields:
            value.refuse("Reference is missing")
        secret = fields["CredentialsSecretArn"].string() if "CredentialsSecretArn" in fields else ""
        return cls(reference=fields["Reference"].parse(Reference.parse), credentials_secret_arn=secret)

    @property
    def pinned(self) -> Digest | None:
        """The digest in the reference; a tag moves."""
        return self.reference.digest

    def resolve(self, ports: SourcePorts, platforms: Sequence[Platform]) -> Content:
        """
        Read the image's manifest and all below it.

        An image by digest that the destination holds needs no upstream: that
        may have been removed there since it was copied.
        """
        try:
            remote = ports.remote(self.reference.repository, self.credentials_secret_arn)
            return self._whole(copied(remote.resolve(self.reference), remote, platforms), platforms)
        except RemoteError:
            with suppress(ImageError):
                if self.reference.digest is not None:
                    return present(ports.destination.manifest(self.reference.digest), ports.destination, platforms)
            raise

    def _whole(self, content: Content, platforms: Sequence[Platform]) -> Content:
        """Refuse to publish less than a digest stands for, unless platforms were asked for."""
        if content.left_out and self.reference.digest is not None and not platforms:
            message = (
                f"{self.reference} lists what its registry does not hold, so that it cannot be published under this "
                f"digest: {', '.join(content.left_out)}"
            )
            has = ", ".join(sorted(map(str, content.platforms)))
            raise NotFoundError(message, operation="GET manifest", hint=f"ask for the platforms that it holds: {has}")
        return content

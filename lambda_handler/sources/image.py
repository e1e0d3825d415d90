"""An image in any registry, copied with everything that it refers to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..errors import ImageError, NotFoundError, RemoteError
from ..oci import Digest, Platform, Reference
from ..publish.content import Content, content_in_destination, content_to_copy
from ..publish.ports import SourcePorts
from ..values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryImageSource:
    """
    The image that a reference points to at deployment.

    Shape:
        ``"Image": {"Reference": "ghcr.io/acme/agent@sha256:…"}`` and
        optionally ``"CredentialsSecretArn": "arn:aws:secretsmanager:…"``
    """

    reference: Reference
    credentials_secret_arn: str = ""

    @classmethod
    def decode(cls, value: Value) -> RegistryImageSource:
        """Decode ``Source.Image``."""
        fields = value.fields({"Reference", "CredentialsSecretArn"}, required={"Reference"})
        secret = fields["CredentialsSecretArn"].string() if "CredentialsSecretArn" in fields else ""
        return cls(reference=fields["Reference"].parse(Reference.parse), credentials_secret_arn=secret)

    @property
    def pinned(self) -> Digest | None:
        """The digest in the reference; None if it has only a tag, which may move."""
        return self.reference.digest

    @property
    def copies(self) -> bool:
        """True: the image may be in any registry."""
        return True

    @property
    def needs_login(self) -> bool:
        """True: layers are uploaded."""
        return True

    def resolve(self, ports: SourcePorts, platforms: Sequence[Platform]) -> Content:
        """
        Read all manifests of the image.

        If the source cannot be read and the reference has a digest, an image
        that the destination already has is used: it may have been deleted
        from its source since it was copied.
        """
        return self._resolve(ports, platforms).coming_from(self.reference.repository)

    def _resolve(self, ports: SourcePorts, platforms: Sequence[Platform]) -> Content:
        try:
            remote = ports.remote(self.reference.repository, self.credentials_secret_arn)
            return self._whole(content_to_copy(remote.resolve(self.reference), remote, platforms), platforms)
        except RemoteError:
            with suppress(ImageError):
                if self.reference.digest is not None:
                    return content_in_destination(
                        ports.destination.manifest(self.reference.digest), ports.destination, platforms
                    )
            raise

    def _whole(self, content: Content, platforms: Sequence[Platform]) -> Content:
        """Refuse an incomplete index by digest, unless specific platforms were requested."""
        if content.left_out and self.reference.digest is not None and not platforms:
            message = (
                f"{self.reference} lists images that its registry does not have, so it cannot be published with this "
                f"digest: {', '.join(content.left_out)}"
            )
            has = ", ".join(sorted(map(str, content.platforms)))
            raise NotFoundError(message, operation="GET manifest", hint=f"request only platforms that it has: {has}")
        return content

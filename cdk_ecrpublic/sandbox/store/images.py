"""
Rules for images and tags: put, find, delete.

If a tag moves away from an image, the image stays. If the last tag of an image is
deleted, the image is deleted, too.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace

from cdk_ecrpublic._assets.lambda_handler.errors import InvalidInputError
from cdk_ecrpublic._assets.lambda_handler.oci import Digest, Manifest

from .. import errors
from ..settings import Settings
from .state import Repository, StoredImage, StoredTag, TagMove
from .timeline import LATEST, View

TAG_PATTERN = "[a-zA-Z0-9-_.]+"
DIGEST_PATTERN = "[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+"
SCHEMA1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)

_WITH_PARAMETERS = re.compile(rb'"(?:mediaType|artifactType)"\s*:\s*"[^"]*;')

DOCKER_TO_OCI = {
    "application/vnd.docker.distribution.manifest.v2+json": "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json": "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.container.image.v1+json": "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageId:
    """An image identifier: a digest, a tag, or both. Not checked yet."""

    digest: str | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """One item in the response of BatchDeleteImage: a deleted image id, or a failure."""

    image: ImageId
    code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ImageStore:
    """
    The images of one repository.

    Attributes:
        registry: The name of the registry in the request, for messages.
        now: Returns seconds since the epoch.
        moves: Gets the tags that are moved, for the journal.
    """

    repository: Repository
    registry: str
    settings: Settings
    now: float
    moves: list[TagMove] = field(default_factory=list)

    def put(self, content: bytes, media_type: str, *, tag: str | None, digest: str | None) -> StoredImage:
        """
        Store a manifest byte for byte, and point *tag* to it.

        Args:
            media_type: The media type in the request; empty if only the manifest has one.
            digest: The digest in the request.

        Raises:
            ServiceError: The errors of PutImage. If the tag already points to this
                image, this is IMAGE_EXISTS.
        """
        image = self._parse(content, media_type)
        if digest is not None and digest != str(image.digest):
            raise errors.DIGEST_MISMATCH.error()
        if not tag and not digest and self.settings.no_tag_no_digest == "reject":
            raise errors.INVALID_PARAMETER.error(member="imageTag", constraint="must not be null")
        self._check_references(image)
        self._check_novelty(image, tag)
        self._store(image, tag)
        return self.repository.image(image.digest) or image

    def find(self, image: ImageId, view: View = LATEST) -> StoredImage | None:
        """Find an image by digest, by tag, or by both if they agree."""
        tag = self.repository.tag(image.tag, view) if image.tag else None
        if image.tag and tag is None:
            return None
        digest = tag.digest if tag else _digest(image.digest)
        if digest is None or (image.digest and image.digest != str(digest)):
            return None
        # A visible tag shows its image, even if the image itself is not visible yet.
        return self.repository.image(digest, LATEST if tag else view)

    def require(self, image: ImageId, view: View = LATEST) -> StoredImage:
        """
        Find an image that must exist.

        Raises:
            ServiceError: It does not exist.
        """
        found = self.find(image, view)
        if found is None:
            raise errors.IMAGE_NOT_FOUND.error(
                digest=image.digest or "null",
                tag=image.tag or "null",
                name=self.repository.name,
                registry=self.registry,
            )
        return found

    def delete(self, image: ImageId) -> list[Deleted]:
        """Delete a tag, or an image with all its tags. Deleting the last tag deletes the image."""
        refusal = self._refusal(image)
        if refusal:
            return [Deleted(image=image, code=refusal[0], reason=refusal[1])]
        found = self.require(image)
        tags = self.repository.tags_of(found.digest)
        if image.tag and tags != [image.tag]:
            self._untag(image.tag)
            return [Deleted(image=ImageId(digest=str(found.digest), tag=image.tag))]
        if parents := self._parents(found.digest):
            reason = f"Requested image referenced by manifest list: [{', '.join(parents)}]"
            return [Deleted(image=image, code="ImageReferencedByManifestList", reason=reason)]
        for tag in tags:
            self._untag(tag)
        self.repository.images[found.digest].set(None, self.now)
        return [Deleted(image=ImageId(digest=str(found.digest), tag=tag or None)) for tag in tags or [""]]

    def referrers(self, subject: str) -> list[StoredImage]:
        """Return the images whose subject has this digest."""
        return [image for image in self.repository.all_images() if str(image.subject) == subject]

    def _parse(self, content: bytes, media_type: str) -> StoredImage:
        if self.settings.schema1 == "accept" and _is_schema1(content):
            return _schema1(content, self._pushed_at)
        try:
            manifest = Manifest.parse(content, media_type)
        except InvalidInputError as error:
            # The service reports this for everything that it does not recognize as a manifest.
            raise errors.INVALID_PARAMETER.error(member="ImageManifest", constraint="Invalid JSON syntax") from error
        if self.settings.media_type_parameters == "reject" and _WITH_PARAMETERS.search(content):
            raise errors.INVALID_PARAMETER.error(member="ImageManifest", constraint="Invalid JSON syntax")
        if not manifest.media_type.is_index and len(manifest.blobs) < 2:  # noqa: PLR2004 - the config and a layer
            raise errors.INVALID_PARAMETER.error(
                member="ImageManifest", constraint="Image has to have at least 1 layer"
            )
        return _stored(manifest, self._size(manifest), self._pushed_at)

    @property
    def _pushed_at(self) -> float:
        return self.now - self.settings.push_age_seconds

    def _size(self, manifest: Manifest) -> int:
        if not manifest.media_type.is_index:
            return sum(layer.size for layer in manifest.blobs[1:])
        children = (self.repository.image(child.digest) for child in manifest.children)
        return max((child.size for child in children if child), default=0)

    def _check_references(self, image: StoredImage) -> None:
        where = {"name": self.repository.name, "registry": self.registry}
        if missing := [str(layer) for layer in image.layers if layer not in self.repository.layers]:
            raise errors.LAYERS_NOT_FOUND.error(digests=", ".join(dict.fromkeys(missing)), **where)
        children = [*image.children]
        if image.subject and self.settings.subject_must_exist:
            children.append(image.subject)
        if missing := [str(child) for child in children if self.repository.image(child) is None]:
            raise errors.CHILDREN_NOT_FOUND.error(digests=", ".join(dict.fromkeys(missing)), **where)

    def _check_novelty(self, image: StoredImage, tag: str | None) -> None:
        where = {"name": self.repository.name, "registry": self.registry}
        exists = self.repository.image(image.digest) is not None
        current = self.repository.tag(tag) if tag else None
        if exists and (not tag or (current and current.digest == image.digest)):
            raise errors.IMAGE_EXISTS.error(digest=image.digest, tag=tag or "null", **where)
        if tag and len(self.repository.tags_of(image.digest)) >= self.settings.tags_per_image:
            raise errors.TAG_LIMIT.error(tag=tag, limit=self.settings.tags_per_image, **where)
        if not exists and self._is_full():
            raise errors.IMAGE_LIMIT.error(limit=self.settings.images_per_repository, **where)

    def _is_full(self) -> bool:
        limit = self.settings.images_per_repository
        # Deleted images count as long as there are fewer with them than allowed, because that is faster.
        return len(self.repository.images) >= limit and sum(1 for _ in self.repository.all_images()) >= limit

    def _store(self, image: StoredImage, tag: str | None) -> None:
        if self.repository.image(image.digest) is None:
            # Only a first push sets the date: aws/containers-roadmap#2746.
            self.repository.add_image(image, self.now)
        if tag:
            self._point(tag, StoredTag(digest=image.digest, created_at=self.now))

    def _untag(self, tag: str) -> None:
        self._point(tag, None)

    def _point(self, tag: str, target: StoredTag | None) -> None:
        before = self.repository.tag(tag)
        self.repository.point(tag, target, self.now)
        self.moves.append(
            TagMove(tag=tag, before=str(before.digest) if before else "", after=str(target.digest) if target else "")
        )

    def _parents(self, digest: Digest) -> list[str]:
        since = self.now - self.settings.removed_index_lag_seconds
        indexes = self.repository.listed_by.get(digest, ())
        return [str(index) for index in indexes if any(self.repository.images[index].values(since))]

    def _refusal(self, image: ImageId) -> tuple[str, str] | None:
        if not image.digest and not image.tag:
            return "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null"
        if image.digest and not re.fullmatch(DIGEST_PATTERN, image.digest):
            reason = f"Invalid request parameters: image digest should satisfy the regex '{DIGEST_PATTERN}'"
            return "InvalidImageDigest", reason
        if image.tag and not re.fullmatch(TAG_PATTERN, image.tag):
            return "InvalidImageTag", f"Invalid request parameters: image tag should satisfy the regex '{TAG_PATTERN}'"
        if image.tag and image.digest and self.find(ImageId(tag=image.tag)) and not self.find(image):
            return "ImageTagDoesNotMatchDigest", "Requested image tag does not match the requested digest"
        return None if self.find(image) else ("ImageNotFound", "Requested image not found")


def translate(image: StoredImage, accepted: tuple[str, ...]) -> StoredImage:
    """
    Convert between Docker and OCI media types if the client accepts only the other one.

    References:
        Amazon ECR Public user guide, "Container image manifest formats".
    """
    other = {**DOCKER_TO_OCI, **{oci: docker for docker, oci in DOCKER_TO_OCI.items()}}
    wanted = other.get(image.media_type, "")
    if image.media_type in accepted or wanted not in accepted:
        return image
    text = re.sub(
        r'"(application/vnd\.[^"]+)"', lambda match: f'"{other.get(match[1], match[1])}"', image.content.decode()
    )
    content = text.encode()
    return replace(image, content=content, digest=Digest.of(content), media_type=wanted)


def _digest(text: str | None) -> Digest | None:
    try:
        return Digest.parse(text or "")
    except InvalidInputError:
        return None


def _stored(manifest: Manifest, size: int, pushed_at: float) -> StoredImage:
    fields = json.loads(manifest.content)
    annotations = fields.get("annotations")
    return StoredImage(
        content=manifest.content,
        digest=manifest.digest,
        media_type=manifest.media_type,
        layers=tuple(blob.digest for blob in manifest.blobs if not blob.is_foreign),
        children=tuple(child.digest for child in manifest.children),
        subject=manifest.subject.digest if manifest.subject else None,
        artifact_type=str(fields.get("artifactType") or ""),
        artifact_media_type=manifest.blobs[0].media_type if manifest.blobs else "",
        annotations=annotations if isinstance(annotations, dict) else {},
        size=size,
        pushed_at=pushed_at,
    )


def _is_schema1(content: bytes) -> bool:
    try:
        data = json.loads(content)
    except ValueError:
        return False
    return isinstance(data, dict) and data.get("schemaVersion") == 1 and isinstance(data.get("fsLayers"), list)


def _schema1(content: bytes, pushed_at: float) -> StoredImage:
    layers = [_digest(str(layer.get("blobSum"))) for layer in json.loads(content)["fsLayers"]]
    return StoredImage(
        content=content,
        digest=Digest.of(content),
        media_type=SCHEMA1[1],
        layers=tuple(layer for layer in layers if layer),
        children=(),
        subject=None,
        artifact_type="",
        artifact_media_type="",
        annotations={},
        size=0,
        pushed_at=pushed_at,
    )

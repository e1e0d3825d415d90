"""Checks beyond the grammar of a catalog: conflicts, addresses in place of names, and invalid manifest files."""

from __future__ import annotations

from .._assets.lambda_handler.errors import ImageError, InvalidReferenceError, truncated_repr
from .._assets.lambda_handler.oci import MANIFEST_MAX_BYTES, Manifest, Reference, RegistryHost
from .._assets.lambda_handler.oci.reference import parse_declared_name
from .fields import Fields
from .model import Catalog, Image, ManifestFile, Repository
from .problems import Position


def check(catalog: Catalog, fields: Fields) -> None:
    """Report every conflict to *fields*."""
    is_sound = not fields.refused
    hosts: set[RegistryHost] = set()
    for repository in catalog.repositories:
        _check_name(repository, fields)
        _check_tags(repository, fields)
        if is_sound:
            # Without its invalid tags, an image would have another key.
            _check_keys(repository, fields)
        for image in repository.images:
            _check_digest(image, fields)
            if isinstance(image.source, Reference):
                _check_source(image, image.source, hosts, fields)
            if isinstance(image.source, ManifestFile):
                _check_file(image, image.source, fields)


def _check_name(repository: Repository, fields: Fields) -> None:
    try:
        parse_declared_name(repository.name)
    except InvalidReferenceError as error:
        fields.refuse(repository.at, error.message)


def _check_source(image: Image, source: Reference, hosts: set[RegistryHost], fields: Fields) -> None:
    """Report an invalid host once: a promoter file has one host for all of its images."""
    if source.repository.host in hosts:
        return
    hosts.add(source.repository.host)
    try:
        Reference.parse_declared(str(source))
    except InvalidReferenceError as error:
        fields.refuse(image.at, error.message)


def _check_tags(repository: Repository, fields: Fields) -> None:
    seen: dict[str, Position] = {}
    for tag in (tag for image in repository.images for tag in image.tags):
        first = seen.setdefault(tag.text, tag.at)
        if first is not tag.at:
            what = f"tag {truncated_repr(tag.text)} of repository {truncated_repr(repository.name)} is already used"
            fields.refuse(tag.at, f"{what} on line {first.line}; a tag points to one image: remove one of the two")


def _check_keys(repository: Repository, fields: Fields) -> None:
    seen: dict[str, Image] = {}
    for image in repository.images:
        first = seen.setdefault(image.key, image)
        # If both keys are tags, the duplicate tag was reported already.
        if first is not image and (image.name or first.name or not image.tags):
            what = f"{truncated_repr(image.key)} also identifies the image on line {first.at.line} of repository"
            fields.refuse(image.at, f"{what} {truncated_repr(repository.name)}; give one of the two another id")


def _check_digest(image: Image, fields: Fields) -> None:
    # An index that is reduced to some platforms has another digest than its source.
    if image.expected_digest is None or image.digest is None or image.settings.platforms:
        return
    if image.expected_digest != image.digest:
        what = f"expected_digest: {image.expected_digest} is not the digest of the image"
        fields.refuse(image.at, f"{what}, {image.digest}; remove it: it is only needed with platforms")


def _check_file(image: Image, source: ManifestFile, fields: Fields) -> None:
    expected = None if image.settings.platforms else image.expected_digest
    try:
        with source.path.open("rb") as file:
            content = file.read(MANIFEST_MAX_BYTES + 1)
        Manifest.parse(content, expected=expected)
    except OSError as error:
        fields.refuse(image.at, f"manifest_file: {truncated_repr(str(source.path))} cannot be read: {error.strerror}")
    except ValueError as error:
        # A path with an invalid character raises a plain ValueError; ImageError is one too.
        said = error.message if isinstance(error, ImageError) else str(error)
        fields.refuse(image.at, f"manifest_file: {truncated_repr(str(source.path))}: {said}")

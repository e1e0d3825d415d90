"""Read the tagged images of a repository, to declare them without a change."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._assets.lambda_handler.aws.errcode import translated
from .._assets.lambda_handler.concurrency import map_concurrently
from .._assets.lambda_handler.errors import AccessError, NotFoundError
from .._assets.lambda_handler.oci import Digest, Repository
from .._assets.lambda_handler.oci.reference import parse_repository_name
from .._assets.lambda_handler.registry import Transport
from .._assets.lambda_handler.registry.logins import ECR_PUBLIC_REGION
from .effect import MAX_CONCURRENT_IMAGES
from .live.listing import ListingClient
from .live.registry import PUBLIC_HOST, Registry

_REFERRER = re.compile(r"sha256-[0-9a-f]{64}(\..+)?")
"""Tags of signatures and other referrers. ``include_referrers`` copies them."""

_HAS_DIGIT = re.compile(r"[0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """
    The tagged images of a repository.

    Attributes:
        name: The name without host and alias.
        images: The sorted tags of each image, by digest.
        left_out: The tags of signatures and other referrers.
    """

    name: str
    images: Mapping[Digest, Sequence[str]]
    left_out: tuple[str, ...] = ()


def take_snapshot(repository: str, registry: Registry) -> Snapshot:
    """
    Read the tags of a repository and their digests.

    Args:
        repository: ``acme/agent`` in the account's own registry, which needs AWS
            credentials, or ``public.ecr.aws/<alias>/acme/agent``.

    Raises:
        InvalidReferenceError: *repository* is not the name of a repository.
        ImageError: It does not exist, or cannot be read.
    """
    if "." in repository.partition("/")[0] or ":" in repository:
        address = Repository.parse(repository)
        name, tags = address.path.partition("/")[2], _seen(address, registry)
    else:
        name = parse_repository_name(repository)
        tags = _described(name, registry)
    images: dict[Digest, list[str]] = defaultdict(list)
    for tag in sorted(tags, key=_specific, reverse=True):
        if not _REFERRER.fullmatch(tag):
            images[tags[tag]].append(tag)
    return Snapshot(name=name, images=images, left_out=tuple(sorted(filter(_REFERRER.fullmatch, tags))))


def _specific(tag: str) -> tuple[bool, int, str]:
    """Return a sort key that puts specific tags first: ``1.4.2`` before ``1.4``, and both before ``latest``."""
    return bool(_HAS_DIGIT.search(tag)), len(tag), tag


def _seen(address: Repository, registry: Registry) -> dict[str, Digest]:
    """Read the tags with the registry API, anonymously."""
    login = registry.clients.logins.ecr_public(address)
    client = ListingClient(Transport(registry.clients.pool, registry.retry.deadline), login.auth)

    def digest_of(tag: str) -> Digest:
        found = registry.retry.call(f"resolving {tag}", lambda: client.resolve(address, tag))
        if found is None:
            message = f"tag {tag} of {address} was deleted while the snapshot was taken"
            raise NotFoundError(message, operation="HEAD manifest", hint="take the snapshot again")
        return found

    tags = registry.retry.call(f"listing the tags of {address}", lambda: client.tags(address))
    return dict(zip(tags, map_concurrently(digest_of, tags, max_workers=MAX_CONCURRENT_IMAGES), strict=True))


def _described(name: str, registry: Registry) -> dict[str, Digest]:
    """Read the tags with the control-plane API, as the owner."""
    if not registry.clients.has_credentials:
        message = f"{name!r} is in the account's own registry, but there are no AWS credentials"
        hint = f"set them, or use the public address: {PUBLIC_HOST}/ALIAS/{name}"
        raise AccessError(message, operation="ecr-public:DescribeImages", hint=hint)
    client = registry.clients.get("ecr-public", ECR_PUBLIC_REGION)
    tags: dict[str, Digest] = {}
    more: dict[str, str] = {}
    while True:
        answer = _page(client, name, more, registry)
        for image in answer["imageDetails"]:
            tags.update(dict.fromkeys(image.get("imageTags", ()), Digest.parse(image["imageDigest"])))
        if not answer.get("nextToken"):
            return tags
        more = {"nextToken": answer["nextToken"]}


def _page(client: Any, name: str, more: Mapping[str, str], registry: Registry) -> Mapping[str, Any]:  # noqa: ANN401 - botocore's clients are made at run time
    def call() -> Mapping[str, Any]:
        with translated("ecr-public:DescribeImages"):
            answer: Mapping[str, Any] = client.describe_images(repositoryName=name, maxResults=1000, **more)
            return answer

    return registry.retry.call(f"describing the images of {name!r}", call)

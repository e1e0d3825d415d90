"""Manifests, tags and referrers of the registry API."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.responses import Response

from cdk_ecrpublic._assets.lambda_handler.oci import MANIFEST_MAX_BYTES

from .. import errors
from ..errors import ServiceError
from ..store.images import TAG_PATTERN, ImageId, translate
from ..store.paging import PAGE_MAX, page
from ..store.state import Repository, StoredImage
from ..trail import TrailedCall
from .context import RegistryContext

DIGEST_HEADER = "Docker-Content-Digest"
INDEX = "application/vnd.oci.image.index.v1+json"


async def head_manifest(context: RegistryContext) -> Response:
    """Return the digest, media type and size of a manifest."""
    image = _find(context)
    headers = {DIGEST_HEADER: str(image.digest), "Content-Length": str(len(image.content))}
    return Response(b"", headers=headers, media_type=image.media_type)


async def get_manifest(context: RegistryContext) -> Response:
    """Send the bytes of a manifest. The client has to compute its digest."""
    image = _find(context)
    headers = {DIGEST_HEADER: str(image.digest)} if context.world.settings.get_manifest_digest_header else {}
    return Response(image.content, headers=headers, media_type=image.media_type)


async def put_manifest(context: RegistryContext) -> Response:
    """Put a manifest. Unlike PutImage, this succeeds if it already exists."""
    content = await _body(context)
    repository = context.writable("PutImage")
    media_type = context.request.headers.get("content-type", "").partition(";")[0].strip()
    image = _image_id(context.reference)
    with context.world.store.lock:
        images = context.images(repository)
        try:
            stored = images.put(content, media_type, tag=image.tag, digest=image.digest)
        except ServiceError as error:
            if error.kind is not errors.IMAGE_EXISTS:
                raise
            stored = images.require(image)
    _emit(context, repository, stored, image.tag)
    headers = {"OCI-Subject": str(stored.subject)} if stored.subject else {}
    if context.world.settings.manifest_put_location:
        headers |= {"Location": f"{context.world.url}{context.path}/manifests/{stored.digest}"}
        headers |= {DIGEST_HEADER: str(stored.digest)}
    return Response(b"", HTTPStatus.CREATED, headers)


def _emit(context: RegistryContext, repository: Repository, stored: StoredImage, tag: str | None) -> None:
    """Emit the event of the push, which is that of PutImage."""
    names = {"registryId": repository.account, "repositoryName": repository.name}
    manifest = {"imageManifest": stored.content.decode(), "imageManifestMediaType": stored.media_type}
    tags = {"imageTag": tag} if tag else {}
    context.world.emit(
        TrailedCall.of(
            context.request,
            "PutImage",
            {**names, **manifest, **tags},
            {"image": {**names, **manifest, "imageId": {"imageDigest": str(stored.digest), **tags}}},
            account=context.grant.subject,
            access_key=context.grant.access_key,
            owner=repository.account,
            time=context.world.store.clock(),
        )
    )


async def list_tags(context: RegistryContext) -> Response:
    """List the tags in pages."""
    view = context.exchange.view(context.world.settings.read_lag_tag_seconds)
    tags = [name for name, _ in context.readable().all_tags(view)]
    query = context.request.query_params
    size = _page_size(query.get("n", str(PAGE_MAX)))
    try:
        chosen, token = page(tags, size, query.get("last"), str)
    except ServiceError as error:
        raise errors.INVALID_PARAMETER.error(member="NextToken", constraint="Invalid next token provided") from error
    alias, name = context.request.path_params["alias"], context.request.path_params["name"]
    headers = {}
    if token:
        headers["Link"] = f'<{context.path}/tags/list?{urlencode({"last": token, "n": size})}>; rel="next"'
    return _json({"name": f"{alias}/{name}", "tags": chosen}, headers)


async def list_referrers(context: RegistryContext) -> Response:
    """List the referrers of a digest; an unknown digest has none."""
    images = context.images(context.readable()).referrers(context.reference)
    wanted = context.request.query_params.get("artifactType")
    found = [entry for entry in map(_referrer, images) if not wanted or entry["artifactType"] == wanted]
    headers = {"OCI-Filters-Applied": "artifactType"} if wanted else {}
    return _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": found}, headers, INDEX)


def _find(context: RegistryContext) -> StoredImage:
    context.count_pull()
    repository = context.readable()
    image = _image_id(context.reference)
    settings = context.world.settings
    lag = settings.read_lag_tag_seconds if image.tag else settings.read_lag_digest_seconds
    found = context.images(repository).find(image, context.exchange.view(lag))
    if found is None:
        raise errors.MANIFEST_UNKNOWN.error()
    if image.tag and settings.translate_on_accept_mismatch:
        return translate(found, _accepted(context))
    return found


def _image_id(reference: str) -> ImageId:
    """
    Parse a tag or digest in a path.

    Raises:
        ServiceError: It is neither.
    """
    if ":" in reference:
        return ImageId(digest=reference)
    if not re.fullmatch(TAG_PATTERN, reference):
        raise errors.TAG_INVALID.error(pattern=TAG_PATTERN)
    return ImageId(tag=reference)


def _accepted(context: RegistryContext) -> tuple[str, ...]:
    headers = context.request.headers.getlist("accept")
    return tuple(item.partition(";")[0].strip() for header in headers for item in header.split(","))


async def _body(context: RegistryContext) -> bytes:
    """Read a manifest, up to the maximum size."""
    content = bytearray()
    async for piece in context.request.stream():
        content += piece
        if len(content) > MANIFEST_MAX_BYTES:
            constraint = f"Member must have length less than or equal to {MANIFEST_MAX_BYTES}"
            raise errors.INVALID_PARAMETER.error(member="imageManifest", constraint=constraint)
    return bytes(content)


def _page_size(text: str) -> int:
    size = int(text) if text.isdecimal() else 0
    if size not in range(1, PAGE_MAX + 1):
        bound = f"less than or equal to {PAGE_MAX}" if size else "greater than or equal to 1"
        raise errors.INVALID_PARAMETER.error(member="maxResults", constraint=f"Member must have value {bound}")
    return size


def _referrer(image: StoredImage) -> dict[str, object]:
    return {
        "mediaType": image.media_type,
        "digest": str(image.digest),
        "size": len(image.content),
        "artifactType": image.artifact_type or image.artifact_media_type,
        "annotations": dict(image.annotations),
    }


def _json(content: object, headers: dict[str, str], media_type: str = "application/json; charset=utf-8") -> Response:
    return Response(json.dumps(content), headers=headers, media_type=media_type)

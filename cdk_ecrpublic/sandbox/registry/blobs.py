"""Tokens, layers and uploads of the registry API. Layers are streamed between sockets and files."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from cdk_ecrpublic._assets.lambda_handler.errors import InvalidInputError
from cdk_ecrpublic._assets.lambda_handler.oci import Digest

from .. import errors
from ..errors import ServiceError
from ..store.layers import PART_SIZE, LayerStore, PartWriter
from ..store.state import Layer, Upload
from .context import RegistryContext

CHUNK_BYTES = 512 * 1024

_BYTES = re.compile(r"bytes=(?P<first>[0-9]*)-(?P<last>[0-9]*)")
_CONTENT_RANGE = re.compile(r"(?:bytes )?(?P<first>[0-9]+)-(?P<last>[0-9]+)(?:/.*)?")


async def token(context: RegistryContext) -> Response:
    """Issue a token for the account of the password, or an anonymous token. Parameters are ignored."""
    header = context.request.headers.get("authorization", "")
    scheme, _, value = header.partition(" ")
    owner = None
    if header:
        if scheme.lower() != "basic":
            raise errors.INVALID_TOKEN.error()
        owner = context.world.grant_of_basic(value.strip())
    context.exchange.authentication = "authenticated" if owner else "none"
    tokens = context.world.tokens
    body = json.dumps({"token": tokens.find_private_password(header) or tokens.bearer(owner)})
    return Response(body, media_type="application/json; charset=utf-8")


async def head_blob(context: RegistryContext) -> Response:
    """Return whether a layer exists, and its size."""
    layer = _layer(context)
    headers = {"Content-Length": str(layer.size), "Docker-Content-Digest": str(layer.digest)}
    return Response(b"", headers=headers, media_type="application/octet-stream")


async def get_blob(context: RegistryContext) -> Response:
    """Redirect to the download of a layer on another host, which requires no token."""
    digest = str(_layer(context).digest)
    address = f"{context.world.blob_url}/{digest}/{context.world.tokens.blob(digest)}"
    return RedirectResponse(address, HTTPStatus.TEMPORARY_REDIRECT)


async def download_blob(context: RegistryContext) -> Response:
    """Send a layer, or a range of it, if the URL is signed and the request has no token."""
    request = context.request
    if "authorization" in request.headers:
        text = "Only one auth mechanism allowed; the address is signed, so the request must carry no Authorization"
        return Response(text, HTTPStatus.BAD_REQUEST, media_type="text/plain")
    digest = context.world.tokens.digest_of_blob(request.path_params["signed"])
    is_right = digest is not None and digest == context.reference
    path = context.world.store.folder / f"layer-{Digest(context.reference).hex}" if is_right else None
    if path is None or not path.exists():
        return Response("Access Denied", HTTPStatus.FORBIDDEN, media_type="text/plain")
    return _download(request, path)


async def start_upload(context: RegistryContext) -> Response:
    """Start an upload. A mount is ignored; the client has to upload the layer."""
    if "mount" in context.request.query_params and context.world.settings.mount == "error":
        raise errors.MOUNT_REFUSED.error()
    repository = context.writable("InitiateLayerUpload")
    await _drain(context.request)
    context.world.count("InitiateLayerUpload")
    upload = context.layers(repository).start()
    return _upload_answer(context, upload, HTTPStatus.ACCEPTED)


async def get_upload(context: RegistryContext) -> Response:
    """Respond that the upload does not exist; the service never reports its progress (dotnet/sdk PR 33019)."""
    context.readable()
    raise errors.BLOB_UNKNOWN.error()


async def upload_chunk(context: RegistryContext) -> Response:
    """Append a chunk."""
    layers = context.layers(context.writable("UploadLayerPart"))
    upload = layers.upload(context.request.path_params["upload"])
    await _append(context, layers, upload)
    return _upload_answer(context, upload, context.world.settings.patch_status)


async def complete_upload(context: RegistryContext) -> Response:
    """Append the body, if there is one, and complete the layer. It may already exist."""
    layers = context.layers(context.writable("CompleteLayerUpload"))
    if _has_body(context.request):
        context.writable("UploadLayerPart")
    upload = layers.upload(context.request.path_params["upload"])
    await _count_completion(context)
    await _append(context, layers, upload)
    digest = context.request.query_params.get("digest", "")
    try:
        with context.world.store.lock:
            layers.complete(upload.identity, [digest])
    except ServiceError as error:
        if error.kind is not errors.LAYER_EXISTS:
            raise
    headers = {"Location": f"{context.world.url}{context.path}/blobs/{digest}", "Docker-Content-Digest": digest}
    return Response(b"", HTTPStatus.CREATED, headers)


def _layer(context: RegistryContext) -> Layer:
    context.count_pull()
    try:
        digest = Digest.parse(context.reference)
    except InvalidInputError as error:
        raise errors.BLOB_UNKNOWN.error() from error
    layer = context.readable().layers.get(digest)
    if layer is None:
        raise errors.BLOB_UNKNOWN.error()
    return layer


def _upload_answer(context: RegistryContext, upload: Upload, status: int) -> Response:
    headers = {
        "Location": f"{context.world.url}{context.path}/blobs/uploads/{upload.identity}",
        # On the service it stays at the end of the first part (dotnet/sdk PR 33019).
        "Range": f"0-{max(min(upload.size, PART_SIZE) - 1, 0)}",
        "Docker-Upload-UUID": upload.identity,
    }
    return Response(b"", status, headers)


async def _append(context: RegistryContext, layers: LayerStore, upload: Upload) -> None:
    content_range = _CONTENT_RANGE.fullmatch(context.request.headers.get("content-range", ""))
    layers.check_part(upload, int(content_range["first"]) if content_range else upload.size)
    with PartWriter(upload) as part:
        async for piece in context.request.stream():
            part.write(piece)


async def _count_completion(context: RegistryContext) -> None:
    try:
        context.world.count("CompleteLayerUpload")
    except ServiceError:
        # None of it counts as received, so the same request can be repeated.
        await _drain(context.request)
        raise


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


async def _drain(request: Request) -> None:
    async for _ in request.stream():
        pass


def _download(request: Request, path: Path) -> Response:
    size = path.stat().st_size
    match = _BYTES.fullmatch(request.headers.get("range", ""))
    first, last = _range(match["first"], match["last"], size) if match else (0, size - 1)
    if first > last:
        headers = {"Content-Range": f"bytes */{size}"}
        return Response(b"", HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)
    headers = {"Content-Length": str(last - first + 1), "Accept-Ranges": "bytes"}
    if match:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    status = HTTPStatus.PARTIAL_CONTENT if match else HTTPStatus.OK
    content = _pieces(path, first, last)
    return StreamingResponse(content, status, headers, media_type="application/octet-stream")


def _range(first: str, last: str, size: int) -> tuple[int, int]:
    """Parse a byte range; ``-5`` means the last five bytes. A reversed range cannot be satisfied."""
    if not first:
        return (size - min(int(last), size), size - 1) if last else (1, 0)
    return int(first), min(int(last), size - 1) if last else size - 1


async def _pieces(path: Path, first: int, last: int) -> AsyncIterator[bytes]:
    """Read piece by piece without keeping the file open, because a client may disappear without notice."""
    while first <= last:
        with path.open("rb") as file:
            file.seek(first)
            piece = file.read(min(last - first + 1, CHUNK_BYTES))
        if not piece:
            return
        first += len(piece)
        yield piece

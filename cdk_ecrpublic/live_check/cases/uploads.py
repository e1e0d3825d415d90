"""Blobs and their uploads, through both APIs."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urljoin

from cdk_ecrpublic._assets.lambda_handler.oci import Digest
from cdk_ecrpublic.live_check.case import case
from cdk_ecrpublic.live_check.images import LAYER
from cdk_ecrpublic.live_check.target import Target
from cdk_ecrpublic.live_check.transport import Response

_UPLOADS = ("registry.uploads.Uploads",)
_ABSENT = f"sha256:{4:064}"
_OCTETS = {"Content-Type": "application/octet-stream"}


def _start(target: Target, path: str = "blobs/uploads/", note: str = "") -> str:
    """Start an upload, and return its URL."""
    started = target.http("POST", path, note=note)
    return _location(target, started)


def _location(target: Target, response: Response) -> str:
    endpoint = target.session.endpoint
    return urljoin(f"{endpoint.scheme}://{endpoint.hosts[0]}/", response.headers.get("location", "/"))


def _with_digest(url: str, digest: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}digest={digest}"


@case(fidelity=("`GET …/blobs/…`", "`HEAD …/blobs/…`"), handler=("registry.client.RegistryClient.open_blob",))
def read_blobs(target: Target) -> None:
    """How are blobs read, where from, and in ranges?"""
    digest = target.upload(LAYER)
    target.name(digest, "layer")
    target.http("HEAD", f"blobs/{digest}")
    redirect = target.http("GET", f"blobs/{digest}")
    target.http("GET", f"blobs/{digest}", login="anonymous")
    for reference in (_ABSENT, "nonsense"):
        target.http("HEAD", f"blobs/{reference}")
        target.http("GET", f"blobs/{reference}")
    url = redirect.headers.get("location", "")
    for wanted in ("", "bytes=0-9", "bytes=1000-", "bytes=-10", "bytes=2000-3000"):
        found = target.send("GET", url, login="none", headers={"Range": wanted} if wanted else {})
        parts = [found.headers.get(name, "") for name in ("content-range", "accept-ranges", "content-type")]
        content = str(Digest.of(found.content)) if found.status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT} else ""
        target.observe(f"a download {wanted or 'of everything'}", [found.status, content, *parts])


@case(
    fidelity=(
        "`POST …/blobs/uploads/`",
        "`PATCH …/blobs/uploads/…`",
        "`GET …/blobs/uploads/…`",
        "`PUT …/blobs/uploads/…`",
    ),
    settings=("patch_status",),
    handler=_UPLOADS,
)
def upload_in_chunks(target: Target) -> None:
    """What are the responses to an upload in one chunk, and how does the registry report its progress?"""
    content = b"uploaded in one chunk"
    target.repository()
    url = _start(target)
    sent = target.http("PATCH", url, headers=_OCTETS, body=content)
    target.http("GET", url)
    url = _location(target, sent) if "location" in sent.headers else url
    target.http("PUT", _with_digest(url, str(Digest.of(content))))
    target.http("PUT", _with_digest(url, str(Digest.of(content))), note="again")


@case(fidelity=("`POST …/blobs/uploads/`", "`DELETE` of uploads and blobs"), settings=("mount",), handler=_UPLOADS)
def start_uploads(target: Target) -> None:
    """Is a blob of another repository mounted, is a single POST enough, and can an upload be cancelled?"""
    digest = target.upload(LAYER, "other")
    target.name(digest, "layer")
    source = f"{target.session.guard.alias}/{target.repository('other')}"
    _start(target, f"blobs/uploads/?mount={digest}&from={source}", "a mount")
    _start(target, f"blobs/uploads/?mount={digest}&from={target.repository('other')}", "a mount without alias")
    content = b"in a single POST"
    target.http("POST", f"blobs/uploads/?digest={Digest.of(content)}", headers=_OCTETS, body=content, note="single")
    target.http("HEAD", f"blobs/{Digest.of(content)}")
    target.http("DELETE", _start(target))
    target.http("POST", f"/v2/{target.session.guard.alias}/{target.missing_repository()}/blobs/uploads/")
    target.http("POST", "blobs/uploads/", login="anonymous")


@case(fidelity=("`PUT …/blobs/uploads/…`", "`PATCH …/blobs/uploads/…`"), handler=_UPLOADS)
def complete_uploads_wrongly(target: Target) -> None:
    """How are uploads refused: a wrong digest, nothing, a gap, an unknown upload?"""
    target.repository()
    target.http("PUT", _with_digest(_start(target), _ABSENT), headers=_OCTETS, body=b"x", note="wrong digest")
    empty = str(Digest.of(b""))
    target.http("PUT", _with_digest(_start(target), empty), note="nothing")
    url = _start(target)
    gap = {**_OCTETS, "Content-Range": "100-104"}
    target.http("PATCH", url, headers=gap, body=b"later", note="a gap")
    unknown = "blobs/uploads/00000000-0000-0000-0000-000000000000"
    target.http("PATCH", unknown, headers=_OCTETS, body=b"x")
    target.http("PUT", f"{unknown}?digest={_ABSENT}")
    target.http("PUT", _start(target), headers=_OCTETS, body=b"x", note="no digest")


@case(fidelity=("`InitiateLayerUpload`", "`UploadLayerPart`", "`CompleteLayerUpload`"))
def upload_through_the_api(target: Target) -> None:
    """What does an upload through the control-plane API say, and about gaps, repetitions and wrong digests?"""
    content = b"uploaded through the API"
    digest = str(Digest.of(content))
    upload = target.api("InitiateLayerUpload").data["uploadId"]
    target.complete_upload(upload, digest, "without parts")
    target.upload_part(upload, b"a gap", 5)
    target.upload_part(upload, content, last=3)
    target.upload_part(upload, content)
    target.upload_part(upload, content)
    target.complete_upload(upload, _ABSENT, "wrong digest")
    target.complete_upload(upload, digest)
    target.complete_upload(upload, digest, "again")
    second = target.api("InitiateLayerUpload").data["uploadId"]
    target.upload_part(second, content)
    target.complete_upload(second, digest, "the layer exists")

"""Rates, sizes and quotas. Measured only on request, because it takes many requests and bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from cdk_ecrpublic._assets.lambda_handler.oci import Digest
from cdk_ecrpublic.live_check.case import Group, case
from cdk_ecrpublic.live_check.images import LAYER, image
from cdk_ecrpublic.live_check.target import Target
from cdk_ecrpublic.live_check.transport import THROTTLED, Response, Transport

BURST = 60
WORKERS = 20
MIB = 1024 * 1024
TAGS_PER_IMAGE = 1000

_RETRY = ("retry.Retry", "aws.errcode")


def _burst(target: Target, what: str, send: Callable[[int], Response]) -> None:
    """Send many requests at once, and record whether some are throttled, and how."""
    begin = target.session.now()
    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(send, range(BURST)))
    throttled = [each for each in found if each.code in THROTTLED]
    kinds = Counter((each.status, each.code, each.message, each.headers.get("retry-after", "")) for each in throttled)
    target.observe(f"{what}: some of {BURST} requests at once are throttled", bool(throttled))
    target.observe(f"{what}: how", [list(kind) for kind in sorted(kinds)])
    target.measure(f"{what}: throttled", len(throttled))
    target.measure(f"{what}: seconds", round(target.session.now() - begin, 2))
    target.wait(2.0)


@case(
    fidelity=("`put_images_per_second`", "`describe_images_per_second`", "`batch_delete_images_per_second`"),
    settings=("put_images_per_second", "describe_images_per_second", "batch_delete_images_per_second"),
    handler=_RETRY,
    group=Group.LIMITS,
)
def throttle_images(target: Target) -> None:
    """From which rate on are PutImage, DescribeImages and BatchDeleteImage throttled, and is there a Retry-After?"""
    one, transport = image("one"), target.session.transport
    target.put(one, "a")
    name = {"repositoryName": target.repository()}

    def put(number: int) -> Response:
        return transport.api("PutImage", {**name, "imageManifest": one.text, "imageTag": f"burst-{number}"})

    ids = {"imageIds": [{"imageTag": "a"}]}
    _burst(target, "PutImage", put)
    _burst(target, "DescribeImages", lambda _: transport.api("DescribeImages", {**name, **ids}))
    absent = {"imageIds": [{"imageTag": "absent"}]}
    _burst(target, "BatchDeleteImage", lambda _: transport.api("BatchDeleteImage", {**name, **absent}))


@case(
    fidelity=("`initiate_layer_uploads_per_second`", "`complete_layer_uploads_per_second`"),
    settings=("initiate_layer_uploads_per_second", "complete_layer_uploads_per_second"),
    handler=_RETRY,
    group=Group.LIMITS,
)
def throttle_uploads(target: Target) -> None:
    """From which rate on are the calls of an upload throttled?"""
    name, transport = {"repositoryName": target.repository()}, target.session.transport
    unknown = {**name, "uploadId": "00000000-0000-0000-0000-000000000000", "layerDigests": [f"sha256:{5:064}"]}
    real = target.api("InitiateLayerUpload").data["uploadId"]
    _burst(target, "InitiateLayerUpload", lambda _: transport.api("InitiateLayerUpload", name))
    _burst(target, "CompleteLayerUpload", lambda _: transport.api("CompleteLayerUpload", {**unknown, "uploadId": real}))


@case(
    fidelity=("too many pulls", "`anonymous_pulls_per_second`", "`authenticated_pulls_per_second`"),
    settings=("anonymous_pulls_per_second", "authenticated_pulls_per_second"),
    handler=("retry.Retry", "registry.failures"),
    group=Group.LIMITS,
)
def throttle_pulls(target: Target) -> None:
    """From which rate on are reads of manifests throttled, with and without a login?"""
    one = image("one")
    target.put(one, "a")
    endpoint = target.session.endpoint
    transport = target.session.transport
    url = f"{endpoint.scheme}://{endpoint.hosts[0]}/v2/{target.session.guard.alias}/{target.repository()}/manifests/{one.digest}"
    for login in ("token", "anonymous"):
        headers = target.session.authorization(login)
        _burst(target, f"GET of a manifest [{login}]", partial(_get, transport, url, headers))


def _get(transport: Transport, url: str, headers: Mapping[str, str], _number: int) -> Response:
    return transport.http("GET", url, headers, kind="unpaced")


@case(
    fidelity=("`strict_part_size`", "`min_part_bytes`", "`UploadLayerPart`"),
    settings=("strict_part_size", "min_part_bytes"),
    group=Group.LIMITS,
)
def upload_parts(target: Target) -> None:
    """How large may a part be, and how small one that is not the last?"""
    for sizes in ((5 * MIB, 1), (5 * MIB - 1, 1), (10 * MIB, 1), (10 * MIB + 1,), (20 * MIB,)):
        upload = target.api("InitiateLayerUpload").data["uploadId"]
        first, content = 0, bytes([len(sizes)]) * sum(sizes)
        for size in sizes:
            target.upload_part(upload, content[first : first + size], first)
            first += size
        target.complete_upload(upload, str(Digest.of(content)), f"of parts {sizes}")


@case(
    fidelity=("the 1001st tag, an image beyond the quota", "beyond a quota", "`tags_per_image`"),
    settings=("tags_per_image",),
    handler=("publish.limits.Limits",),
    group=Group.LIMITS,
)
def exceed_tags(target: Target) -> None:
    """What is said about the 1,001st tag of an image, through both APIs?"""
    one, session = image("one"), target.session
    target.put(one, "0")
    name = {"repositoryName": target.repository(), "imageManifest": one.text}
    for number in range(1, TAGS_PER_IMAGE):
        session.patiently(partial(session.transport.api, "PutImage", {**name, "imageTag": str(number)}))
    target.put(one, "beyond")
    target.name(one.digest, "image one")
    target.http("PUT", "manifests/beyond", headers={"Content-Type": one.media_type}, body=one.manifest)


@case(
    fidelity=("`images_per_repository`", "`layer_max_bytes`"),
    settings=("images_per_repository", "layer_max_bytes"),
    handler=("publish.limits.Limits",),
    group=Group.LIMITS,
)
def stay_within_quotas(target: Target) -> None:
    """Are twenty images and a layer of a MiB accepted? The quotas themselves are too large to be reached."""
    for number in range(20):
        target.put(image(f"image {number}"), str(number))
    content = LAYER * 1024
    upload = target.api("InitiateLayerUpload").data["uploadId"]
    target.upload_part(upload, content)
    target.complete_upload(upload, str(Digest.of(content)))

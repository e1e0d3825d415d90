"""Operations of the control-plane API for images and layers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cdk_ecrpublic._assets.lambda_handler.oci import Digest

from .. import errors
from ..store.images import DIGEST_PATTERN, Deleted, ImageId
from ..store.layers import PART_SIZE
from ..store.paging import PAGE_SIZE, page
from ..store.state import Layer, StoredImage
from ..tokens import basic_credentials
from .context import ApiContext, Operation, Result


def put_image(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Put an image: store its manifest, and point a tag to it."""
    images = context.images(data, is_shared=True)
    context.world.count(context.operation)
    tag = data.get("imageTag")
    content = data["imageManifest"].encode()
    image = images.put(content, data.get("imageManifestMediaType", ""), tag=tag, digest=data.get("imageDigest"))
    return {
        "image": {
            "registryId": images.repository.account,
            "repositoryName": images.repository.name,
            "imageId": {"imageDigest": str(image.digest), "imageTag": tag},
            "imageManifest": image.content.decode(),
            "imageManifestMediaType": image.media_type,
        }
    }


def batch_delete_image(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Delete tags and images, one after the other."""
    images = context.images(data, is_shared=True)
    context.world.count(context.operation)
    results = [result for image in data["imageIds"] for result in images.delete(_image_id(image))]
    return {
        "imageIds": [_shown_id(result.image) for result in results if not result.code],
        "failures": [_failure(result) for result in results if result.code],
    }


def describe_images(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Describe the given images, or list all images in pages."""
    images = context.images(data)
    context.world.count(context.operation)
    if names := data.get("imageIds"):
        if "maxResults" in data or "nextToken" in data:
            raise errors.INVALID_PARAMETER.error(member="maxResults", constraint="must be null when imageIds are given")
        chosen, token = [images.require(_image_id(name), context.view) for name in names], None
    else:
        found = images.repository.all_images(context.view)
        size = data.get("maxResults", PAGE_SIZE)
        chosen, token = page(found, size, data.get("nextToken"), lambda image: str(image.digest))
    tags = _tags_by_digest(context, data)
    account, name = images.repository.account, images.repository.name
    details = [
        {"registryId": account, "repositoryName": name, "imageTags": tags.get(image.digest), **_detail(image)}
        for image in chosen
    ]
    return {"imageDetails": details, "nextToken": token}


def describe_image_tags(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """List the tags in pages."""
    repository = context.repository(data)
    tags = [(name, tag, repository.image(tag.digest)) for name, tag in repository.all_tags(context.view)]
    size = data.get("maxResults", PAGE_SIZE)
    chosen, token = page(tags, size, data.get("nextToken"), lambda item: item[0])
    details = [
        {"imageTag": name, "createdAt": tag.created_at, "imageDetail": _detail(image)}
        for name, tag, image in chosen
        if image
    ]
    return {"imageTagDetails": details, "nextToken": token}


def batch_check_layer_availability(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Return which layers the repository has."""
    layers = context.repository(data, is_shared=True).layers
    good = [text for text in data["layerDigests"] if re.fullmatch(DIGEST_PATTERN, text)]
    bad = [text for text in data["layerDigests"] if text not in good]
    return {
        "layers": [_availability(text, layers.get(Digest(text))) for text in good],
        "failures": [_layer_failure(text) for text in bad],
    }


def initiate_layer_upload(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Initiate the upload of a layer."""
    layers = context.layers(data)
    context.world.count(context.operation)
    return {"uploadId": layers.start().identity, "partSize": PART_SIZE}


def upload_layer_part(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Upload a part of a layer."""
    layers = context.layers(data)
    first, last, content = data["partFirstByte"], data["partLastByte"], data["layerPartBlob"]
    upload = layers.add_part(data["uploadId"], first, last, content)
    return {
        "registryId": layers.repository.account,
        "repositoryName": layers.repository.name,
        "uploadId": upload.identity,
        "lastByteReceived": max(upload.size - 1, 0),
    }


def complete_layer_upload(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Complete the upload of a layer."""
    layers = context.layers(data)
    context.world.count(context.operation)
    layer = layers.complete(data["uploadId"], data["layerDigests"])
    return {
        "registryId": layers.repository.account,
        "repositoryName": layers.repository.name,
        "uploadId": data["uploadId"],
        "layerDigest": str(layer.digest),
    }


def get_authorization_token(context: ApiContext, _data: Mapping[str, Any]) -> Result:
    """Return a password for the registry API."""
    password, expires = context.world.tokens.password(context.account, context.access_key)
    return {"authorizationData": {"authorizationToken": basic_credentials(password), "expiresAt": expires}}


OPERATIONS: Mapping[str, Operation] = {
    "PutImage": put_image,
    "BatchDeleteImage": batch_delete_image,
    "DescribeImages": describe_images,
    "DescribeImageTags": describe_image_tags,
    "BatchCheckLayerAvailability": batch_check_layer_availability,
    "InitiateLayerUpload": initiate_layer_upload,
    "UploadLayerPart": upload_layer_part,
    "CompleteLayerUpload": complete_layer_upload,
    "GetAuthorizationToken": get_authorization_token,
}


def _image_id(data: Mapping[str, str]) -> ImageId:
    return ImageId(digest=data.get("imageDigest"), tag=data.get("imageTag"))


def _shown_id(image: ImageId) -> Result:
    return {"imageDigest": image.digest, "imageTag": image.tag}


def _failure(result: Deleted) -> Result:
    return {"imageId": _shown_id(result.image), "failureCode": result.code, "failureReason": result.reason}


def _detail(image: StoredImage) -> Result:
    return {
        "imageDigest": str(image.digest),
        "imageSizeInBytes": image.size,
        "imagePushedAt": image.pushed_at,
        "imageManifestMediaType": image.media_type,
        "artifactMediaType": image.artifact_media_type or None,
    }


def _tags_by_digest(context: ApiContext, data: Mapping[str, Any]) -> dict[Digest, list[str]]:
    found: dict[Digest, list[str]] = {}
    for name, tag in context.repository(data).all_tags(context.view):
        found.setdefault(tag.digest, []).append(name)
    return found


def _availability(text: str, layer: Layer | None) -> Result:
    if layer is None:
        return {"layerDigest": text, "layerAvailability": "UNAVAILABLE"}
    return {"layerDigest": text, "layerAvailability": "AVAILABLE", "layerSize": layer.size}


def _layer_failure(text: str) -> Result:
    if not text:
        return {
            "failureCode": "MissingLayerDigest",
            "failureReason": "Invalid request parameters: layer digest is missing",
        }
    reason = f"Invalid request parameters: layer digest should satisfy the regex '{DIGEST_PATTERN}'"
    return {"layerDigest": text, "failureCode": "InvalidLayerDigest", "failureReason": reason}

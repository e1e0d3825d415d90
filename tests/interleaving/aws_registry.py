"""The operations of ECR Public, with the sandbox's rules about images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdk_ecrpublic.sandbox.errors import ServiceError
from cdk_ecrpublic.sandbox.store.images import Deleted, ImageId
from cdk_ecrpublic.sandbox.store.state import StoredImage

from .effects import Effect, Refusal
from .run import Call
from .world import ACCOUNT, INDEXES, REPOSITORY, URI, World, names

_ALIAS = URI.split("/")[1]


def depend_on(call: Call, world: World, *, tag: str | None = None, digest: str | None = None) -> None:
    """Record that a call depends on a tag and its current image, or on an image."""
    if tag:
        call.reads.add(f"tag:{tag}")
        found = world.repository.tag(tag, call.view)
        digest = digest or (str(found.digest) if found else None)
    if digest and digest in names():
        call.reads.add(f"image:{names()[digest]}")


def _describe_registries(_world: World, _call: Call, _region: str) -> Any:
    alias = {"name": _ALIAS, "status": "ACTIVE", "primaryRegistryAlias": True, "defaultRegistryAlias": True}
    registry = {"registryId": ACCOUNT, "registryUri": URI.removesuffix(f"/{REPOSITORY}"), "aliases": [alias]}
    return {"registries": [registry]}


def _describe_repositories(_world: World, call: Call, _region: str) -> Any:
    if call.parameters["repositoryNames"] != [REPOSITORY]:
        code = "RepositoryNotFoundException"
        raise Refusal(code, "does not exist")
    return {"repositories": [{"registryId": ACCOUNT, "repositoryName": REPOSITORY, "repositoryUri": URI}]}


def _describe_images(world: World, call: Call, _region: str) -> Any:
    wanted = [_image_id(each) for each in call.parameters["imageIds"]]
    for image in wanted:
        depend_on(call, world, tag=image.tag, digest=image.digest)
    # Like the service, return an image once, even if the request names two of its tags.
    found = [world.store.require(image, call.view) for image in wanted]
    chosen = {image.digest: image for image in found}
    return {"imageDetails": [_detail(world, call, image) for image in chosen.values()]}


def _detail(world: World, call: Call, image: StoredImage) -> dict[str, Any]:
    tags = world.repository.tags_of(image.digest, call.view)
    shown = {
        "registryId": ACCOUNT,
        "repositoryName": REPOSITORY,
        "imageDigest": str(image.digest),
        "imageManifestMediaType": image.media_type,
    }
    return shown | ({"imageTags": sorted(tags)} if tags else {})


def _put_image(world: World, call: Call, _region: str) -> Any:
    parameters = call.parameters
    tag = parameters.get("imageTag")
    depend_on(call, world, tag=tag)
    depend_on(call, world, digest=parameters["imageDigest"])
    for child in INDEXES.get(names()[parameters["imageDigest"]], ()):
        call.reads.add(f"image:{child}")
    content, media_type = parameters["imageManifest"].encode(), parameters["imageManifestMediaType"]
    image = world.store.put(content, media_type, tag=tag, digest=parameters["imageDigest"])
    call.writes |= call.reads
    identity = {"imageDigest": str(image.digest), **({"imageTag": tag} if tag else {})}
    return {"image": {"registryId": ACCOUNT, "repositoryName": REPOSITORY, "imageId": identity}}


def _batch_delete_image(world: World, call: Call, _region: str) -> Any:
    results = [result for each in call.parameters["imageIds"] for result in _delete(world, call, _image_id(each))]
    call.outcome = ", ".join(sorted({result.code or "removed" for result in results}))
    return {
        "imageIds": [_shown_id(result.image) for result in results if not result.code],
        "failures": [
            {"imageId": _shown_id(result.image), "failureCode": result.code, "failureReason": result.reason}
            for result in results
            if result.code
        ],
    }


def _delete(world: World, call: Call, image: ImageId) -> list[Deleted]:
    if image.tag and image.digest and world.service.ignores_digest:
        image = ImageId(tag=image.tag)
    if image.tag and image.digest and world.service.takes_image and world.store.find(image):
        image = ImageId(digest=image.digest)
    depend_on(call, world, tag=image.tag)
    depend_on(call, world, digest=image.digest)
    found = world.store.find(image)
    if found:
        name = names()[str(found.digest)]
        touched = {f"tag:{tag}" for tag in world.repository.tags_of(found.digest)}
        # An image stays while an index lists it. After the index is deleted, it can be deleted.
        touched |= {f"image:{other}" for other, children in INDEXES.items() if name in children}
        call.reads |= touched | {f"image:{child}" for child in INDEXES.get(name, ())}
    results = world.store.delete(image)
    if any(not result.code for result in results):
        call.writes |= call.reads
    return results


def _batch_check_layer_availability(world: World, call: Call, _region: str) -> Any:
    existing = {str(digest) for digest in world.repository.layers}
    states = {
        digest: "AVAILABLE" if digest in existing else "UNAVAILABLE" for digest in call.parameters["layerDigests"]
    }
    return {"layers": [{"layerDigest": digest, "layerAvailability": state} for digest, state in states.items()]}


def _image_id(data: Mapping[str, str]) -> ImageId:
    return ImageId(digest=data.get("imageDigest"), tag=data.get("imageTag"))


def _shown_id(image: ImageId) -> dict[str, str]:
    shown = {"imageDigest": image.digest, "imageTag": image.tag}
    return {name: value for name, value in shown.items() if value}


def _refusing(effect: Effect) -> Effect:
    """Convert errors of the sandbox to errors of the service."""

    def carry_out(world: World, call: Call, region: str) -> Any:
        try:
            return effect(world, call, region)
        except ServiceError as error:
            raise Refusal(error.kind.code, error.message) from None

    return carry_out


_EFFECTS = (
    _describe_registries,
    _describe_repositories,
    _describe_images,
    _put_image,
    _batch_delete_image,
    _batch_check_layer_availability,
)

ECR_PUBLIC: Mapping[str, Effect] = {
    "".join(word.title() for word in effect.__name__.split("_")): _refusing(effect) for effect in _EFFECTS
}
"""The operations, by their names in the API."""

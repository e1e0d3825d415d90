"""Which PutImage says that the image already exists, and what is true then."""

from __future__ import annotations

import time

from cdk_ecrpublic.live_check.case import case
from cdk_ecrpublic.live_check.images import image
from cdk_ecrpublic.live_check.target import Target

CLOCKS_DIFFER_SECONDS = 600

_CONFIRM = ("ecr_public.repository.EcrPublicRepository.put", "ecr_public.repository.EcrPublicRepository._confirm")


@case(fidelity=("`PutImage`", "new manifest, new tag", "same tag, same digest"), handler=_CONFIRM)
def put_again(target: Target) -> None:
    """What does PutImage say if the tag already points to the image, and is it the same with and without a digest?"""
    one = image("one")
    target.put(one, "a")
    target.put(one, "a")
    target.put(one, "a", imageDigest=None)
    target.put(one, "a", imageDigest=None, imageManifestMediaType=None)
    target.list_images()


@case(
    fidelity=("same tag, same digest", "a tag that points to another image"),
    handler=(*_CONFIRM, "publish.execute.execute"),
)
def put_back_and_forth(target: Target) -> None:
    """Is a tag that moves away and back moved each time, or does PutImage say that it already exists?"""
    one, other = image("one"), image("other")
    for each in (one, other, one, other, one):
        target.put(each, "a")
        target.describe(tags=("a",))
    target.list_images()


@case(
    fidelity=("another tag for an image",),
    settings=("push_age_seconds",),
    handler=(*_CONFIRM, "retention.lifecycle"),
)
def put_another_tag(target: Target) -> None:
    """Is the date of an image that of its push, does another tag change it, and which tags does it have then?"""
    one = image("one")
    target.put(one, "a")
    before = target.describe(one)
    target.wait(1.1)
    target.put(one, "b")
    after = target.describe(one)
    same = before.data["imageDetails"][0]["imagePushedAt"] == after.data["imageDetails"][0]["imagePushedAt"]
    target.observe("the date of the image stays", same)
    age = time.time() - after.data["imageDetails"][0]["imagePushedAt"].timestamp()
    target.observe("the date is that of the push, within ten minutes", abs(age) < CLOCKS_DIFFER_SECONDS)
    target.api("DescribeImageTags")


@case(fidelity=("no tag, but a digest", "untagged, and it exists"), handler=_CONFIRM)
def put_untagged(target: Target) -> None:
    """What does PutImage say about an image by digest that exists without a tag, and with one?"""
    one, tagged = image("one"), image("tagged")
    target.put(one)
    target.put(one)
    target.put(tagged, "a")
    target.put(tagged)
    target.list_images()


@case(fidelity=("no tag, no digest",), settings=("no_tag_no_digest",))
def put_without_tag_and_digest(target: Target) -> None:
    """Is an image without tag and digest stored?"""
    target.put(image("one"), imageDigest=None)
    target.list_images()


@case(
    fidelity=("`PUT …/manifests/…`", "same tag, same digest"),
    settings=("manifest_put_location",),
    handler=_CONFIRM,
)
def put_over_both_apis(target: Target) -> None:
    """Does PutImage say that an image exists which was pushed over HTTP, and does a push over HTTP mind?"""
    one = image("one")
    target.put(image("blobs"), "blobs")
    headers = {"Content-Type": one.media_type}
    target.name(one.digest, "image one")
    target.http("PUT", "manifests/a", headers=headers, body=one.manifest)
    target.put(one, "a")
    target.http("PUT", "manifests/a", headers=headers, body=one.manifest)
    target.http("PUT", f"manifests/{one.digest}", headers=headers, body=one.manifest)
    target.list_images()


@case(fidelity=("the media types in the manifest and in the request differ",), handler=_CONFIRM)
def put_with_another_media_type(target: Target) -> None:
    """Is a manifest without a media type stored, and is the same manifest with another one the same image?"""
    plain = image("plain", mediaType=None)
    docker = "application/vnd.docker.distribution.manifest.v2+json"
    target.put(plain, "a", imageManifestMediaType=plain.media_type)
    target.put(plain, "a", imageManifestMediaType=docker)
    target.put(plain, "b", imageManifestMediaType=docker)
    target.put(image("typed"), "c", imageManifestMediaType=docker)
    target.list_images()


@case(fidelity=("same tag, same digest",), handler=_CONFIRM)
def put_after_removal(target: Target) -> None:
    """Can an image be put again after it was removed, and does PutImage believe that it still exists?"""
    one = image("one")
    target.put(one, "a")
    target.delete({"imageTag": "a"})
    target.put(one, "a")
    target.put(one, "a")
    target.describe(tags=("a",))

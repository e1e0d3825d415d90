"""What synthesis knows to fail later: a warning, since the template may still be meant so."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Annotations
from constructs import Construct

from ._validation.values import is_known
from .public_repository import IPublicRepository, PublicRepository

TAGS_MAX = 1000
"""ECR Public's quota for one image."""

_OCI_NAMES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386", "armhf": "arm"}
"""What other tools call an architecture, and what images call it."""


def warn_of_failures(
    image: Construct, repository: IPublicRepository, tags: Sequence[str], *, platforms: Sequence[str], stays: bool
) -> None:
    """
    Warn of what a deployment, or a deletion, of an image will fail at.

    Args:
        stays: The image is left in the repository when it leaves the stack.
    """
    _warn_of_tags(image, tags)
    _warn_of_platforms(image, platforms)
    if stays:
        _warn_of_kept_image(image, repository)


def _warn_of_tags(image: Construct, tags: Sequence[str]) -> None:
    """Warn of more tags than an image may have."""
    if is_known(tags) and len(tags) > TAGS_MAX:
        Annotations.of(image).add_warning_v2(
            "@cdk-ecrpublic:tooManyTags",
            f"{len(tags)} tags; ECR Public takes at most {TAGS_MAX} on one image, so the deployment will fail; "
            "declare fewer",
        )


def _warn_of_platforms(image: Construct, platforms: Sequence[str]) -> None:
    """Warn of platforms that no image has, since images call them otherwise."""
    for platform in platforms if is_known(platforms) else ():
        system, _, architecture = platform.partition("/")
        name, slash, variant = architecture.partition("/")
        if is_known(platform) and name in _OCI_NAMES:
            Annotations.of(image).add_warning_v2(
                f"@cdk-ecrpublic:platformName:{platform}",
                f"images call the platform {platform} {system}/{_OCI_NAMES[name]}{slash}{variant}; "
                "the deployment will find no such platform, so write that instead",
            )


def _warn_of_kept_image(image: Construct, repository: IPublicRepository) -> None:
    """Warn of a repository that goes with its stack, while the image in it stays."""
    if not isinstance(repository, PublicRepository) or not repository.is_deleted_with_stack:
        return
    Annotations.of(image).add_warning_v2(
        "@cdk-ecrpublic:keptInDeletedRepository",
        "the repository is deleted with its stack (removal_policy=DESTROY), and this image stays in it "
        "(removal_policy=RETAIN): ECR Public deletes no repository that has images, so the deletion will fail; "
        "give the image removal_policy=RemovalPolicy.DESTROY, or the repository RETAIN",
    )


def warn_of_undeclared_tag(image: Construct, tag: str, tags: Sequence[str]) -> None:
    """Warn of an address by a tag that the image does not declare: nothing may be there."""
    if is_known(tags) and all(map(is_known, (tag, *tags))) and tag not in tags:
        declared = ", ".join(map(repr, tags)) or "none"
        Annotations.of(image).add_warning_v2(
            f"@cdk-ecrpublic:undeclaredTag:{tag}",
            f"image_uri_for_tag({tag!r}): the image does not declare this tag, so that nothing or another image may be "
            f"there; declared are: {declared}",
        )

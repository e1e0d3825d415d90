"""Warnings about declarations that will fail later. They are not errors, because the template may be intended."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Annotations, CfnDeletionPolicy
from aws_cdk.aws_ecr import CfnPublicRepository
from constructs import Construct

from ._tree import node_of
from ._validation.values import is_known
from .public_repository import IPublicRepository, PublicRepository

TAGS_MAX = 1000
"""The quota of ECR Public for one image."""

_OCI_NAMES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386", "armhf": "arm"}
"""The OCI names of architectures, by the names that other tools use."""


def warn_of_failures(
    image: Construct, repository: IPublicRepository, tags: Sequence[str], *, platforms: Sequence[str], stays: bool
) -> None:
    """
    Warn if the deployment or the deletion of an image will fail.

    Args:
        stays: Whether the image stays in the repository when it leaves the stack.
    """
    _warn_of_tags(image, tags)
    _warn_of_platforms(image, platforms)
    if stays:
        _warn_of_kept_image(image, repository)


def _warn_of_tags(image: Construct, tags: Sequence[str]) -> None:
    """Warn if an image has too many tags."""
    if is_known(tags) and len(tags) > TAGS_MAX:
        Annotations.of(image).add_warning_v2(
            "@cdk-ecrpublic:tooManyTags",
            f"{len(tags)} tags; ECR Public allows at most {TAGS_MAX} tags on one image, so the deployment will fail; "
            "declare fewer tags",
        )


def _warn_of_platforms(image: Construct, platforms: Sequence[str]) -> None:
    """Warn about platforms that do not have the OCI name."""
    for platform in platforms if is_known(platforms) else ():
        system, _, architecture = platform.partition("/")
        name, slash, variant = architecture.partition("/")
        if is_known(platform) and name in _OCI_NAMES:
            Annotations.of(image).add_warning_v2(
                f"@cdk-ecrpublic:platformName:{platform}",
                f"the OCI name of the platform {platform} is {system}/{_OCI_NAMES[name]}{slash}{variant}; no image "
                "has the platform as written, so the deployment will fail; use the OCI name",
            )


def _warn_of_kept_image(image: Construct, repository: IPublicRepository) -> None:
    """Warn if a repository is deleted with its stack, but the image in it stays."""
    child = node_of(repository).default_child if isinstance(repository, PublicRepository) else None
    if not isinstance(child, CfnPublicRepository) or child.cfn_options.deletion_policy != CfnDeletionPolicy.DELETE:
        return
    Annotations.of(image).add_warning_v2(
        "@cdk-ecrpublic:keptInDeletedRepository",
        "the repository is deleted with its stack (removal_policy=DESTROY), and this image stays in it "
        "(removal_policy=RETAIN); ECR Public does not delete a repository with images, so the deletion will fail; "
        "set removal_policy=RemovalPolicy.DESTROY on the image, or RETAIN on the repository",
    )


def warn_of_undeclared_tag(image: Construct, tag: str, tags: Sequence[str]) -> None:
    """Warn about the URI of a tag that the image does not declare."""
    if is_known(tags) and all(map(is_known, (tag, *tags))) and tag not in tags:
        declared = ", ".join(map(repr, tags)) or "none"
        Annotations.of(image).add_warning_v2(
            f"@cdk-ecrpublic:undeclaredTag:{tag}",
            f"image_uri_for_tag({tag!r}): the image does not declare this tag, so the tag may not exist or point to "
            f"another image; declared tags: {declared}",
        )

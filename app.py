"""
An example to read, to deploy and to change: four ways to publish an image.

What is published is declared by context values, whose defaults are in
``cdk.json``; a release is a reviewed change of them::

    cdk diff   AgentRelease --context version=1.4.2 --context digest=sha256:… --context debug_digest=sha256:…
    cdk deploy AgentRelease --context version=1.4.2 --context digest=sha256:… --context debug_digest=sha256:…

A preview is there only while somebody names an image for it: an OCI image
layout or a ``docker save``, as ``--context preview_image=build/agent.tar``.
"""

from __future__ import annotations

from aws_cdk import App, CfnOutput, RemovalPolicy, Stack
from aws_cdk import aws_ecr as ecr
from constructs import Construct

from cdk_ecrpublic import ImageSource, PublicImage, PublicRepository


class AgentRelease(Stack):
    """
    A tested image and its debug variant, which a build pushed to the repository, get their tags.

    Args:
        repository_name: An existing repository of Amazon ECR Public.
        version: ``major.minor.patch``; tags the image together with ``major.minor`` and ``latest``.
        digest: The tested image.
        debug_digest: The same with debugging tools.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        repository_name: str,
        version: str,
        digest: str,
        debug_digest: str,
    ) -> None:
        super().__init__(scope, construct_id)
        repository = PublicRepository.from_repository_name(self, "Repository", repository_name)
        minor = version.rpartition(".")[0]

        release = PublicImage(
            self,
            "Release",
            repository=repository,
            source=ImageSource.digest(digest),
            tags=[version, minor, "latest"],
        )
        debug = PublicImage(
            self,
            "Debug",
            repository=repository,
            source=ImageSource.digest(debug_digest),
            tags=[f"{version}-debug", "debug"],
        )
        # First what most people pull.
        debug.node.add_dependency(release)

        CfnOutput(self, "Image", value=release.image_uri)
        CfnOutput(self, "Latest", value=release.image_uri_for_tag("latest"))


class AgentNightly(Stack):
    """Two builds, one for each platform, become one multi-platform image."""

    def __init__(
        self, scope: Construct, construct_id: str, *, repository_name: str, amd64_digest: str, arm64_digest: str
    ) -> None:
        super().__init__(scope, construct_id)
        nightly = PublicImage(
            self,
            "Nightly",
            repository=PublicRepository.from_repository_name(self, "Repository", repository_name),
            source=ImageSource.index(
                {
                    "linux/amd64": ImageSource.digest(amd64_digest),
                    "linux/arm64": ImageSource.digest(arm64_digest),
                }
            ),
            tags=["nightly"],
        )
        CfnOutput(self, "Digest", value=nightly.image_digest)


class AgentFromPrivate(Stack):
    """An approved image of a private repository is copied to the public one."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        repository_name: str,
        private_repository_name: str,
        approved_digest: str,
    ) -> None:
        super().__init__(scope, construct_id)
        private = ecr.Repository.from_repository_name(self, "Private", private_repository_name)
        PublicImage(
            self,
            "Approved",
            repository=PublicRepository.from_repository_name(self, "Repository", repository_name),
            source=ImageSource.ecr(private, digest=approved_digest),
            tags=["enterprise"],
            required_platforms=["linux/amd64", "linux/arm64"],
        )


class AgentPreview(Stack):
    """What a build wrote to disk, for others to try while a change is discussed; it goes away with the stack."""

    def __init__(self, scope: Construct, construct_id: str, *, repository_name: str, image_path: str, tag: str) -> None:
        super().__init__(scope, construct_id)
        PublicImage(
            self,
            "Preview",
            repository=PublicRepository.from_repository_name(self, "Repository", repository_name),
            source=ImageSource.archive(image_path),
            tags=[tag],
            removal_policy=RemovalPolicy.DESTROY,
        )


app = App()
context = app.node.get_context
AgentRelease(
    app,
    "AgentRelease",
    repository_name=context("repository"),
    version=context("version"),
    digest=context("digest"),
    debug_digest=context("debug_digest"),
)
AgentNightly(
    app,
    "AgentNightly",
    repository_name=context("repository"),
    amd64_digest=context("amd64_digest"),
    arm64_digest=context("arm64_digest"),
)
AgentFromPrivate(
    app,
    "AgentFromPrivate",
    repository_name=context("repository"),
    private_repository_name=context("private_repository"),
    approved_digest=context("approved_digest"),
)
if preview := app.node.try_get_context("preview_image"):
    AgentPreview(
        app,
        "AgentPreview",
        repository_name=context("repository"),
        image_path=preview,
        tag=context("preview_tag"),
    )
app.synth()

"""
An example to read, deploy and change: four ways to publish an image.

Context values declare what is published. Their defaults are in ``cdk.json``. To
release, change them in a reviewed commit::

    cdk diff   AgentRelease --context version=1.4.2 --context digest=sha256:… --context debug_digest=sha256:…
    cdk deploy AgentRelease --context version=1.4.2 --context digest=sha256:… --context debug_digest=sha256:…

The preview stack exists only if you pass an image, which is an OCI image layout or a
``docker save``: ``--context preview_image=build/agent.tar``.
"""

from __future__ import annotations

from aws_cdk import App, CfnOutput, RemovalPolicy, Stack
from aws_cdk import aws_ecr as ecr
from constructs import Construct

from cdk_ecrpublic import ImageSource, PublicImage, PublicRepository


class AgentRelease(Stack):
    """
    Tags a tested image and its debug variant, which a build pushed to the repository.

    Args:
        repository_name: An existing repository of Amazon ECR Public.
        version: ``major.minor.patch``; tags the image together with ``major.minor`` and ``latest``.
        digest: The digest of the tested image.
        debug_digest: The digest of the variant with debugging tools.
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
        # The main image first.
        debug.node.add_dependency(release)

        CfnOutput(self, "Image", value=release.image_uri)
        CfnOutput(self, "Latest", value=release.image_uri_for_tag("latest"))


class AgentNightly(Stack):
    """Combines two builds, one for each platform, into one multi-platform image."""

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
    """Copies an approved image from a private repository to the public one."""

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
    """Publishes an image that a build wrote to disk, as a preview of a change. It is deleted with the stack."""

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

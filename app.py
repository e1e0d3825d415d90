"""
An example to read, deploy and change: four ways to publish an image, and a stack that looks after them.

Context values declare what is published. Their defaults are in ``cdk.json``. To
release, change them in a reviewed commit::

    cdk diff   AgentRelease --context version=1.4.2 --context digest=sha256:… --context debug_digest=sha256:…
    cdk deploy AgentRelease --context version=1.4.2 --context digest=sha256:… --context debug_digest=sha256:…

The preview stack exists only if `preview_image` is set to an image: an OCI image layout or a
``docker save``: ``--context preview_image=build/agent.tar``.
"""

from __future__ import annotations

from aws_cdk import App, CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from cdk_ecrpublic import (
    ImageSource,
    PublicImage,
    PublicImageMonitor,
    PublicRepository,
    PublicRepositoryRetention,
    ReleaseRule,
    ReleaseTags,
    Signing,
)


class AgentRelease(Stack):
    """
    Tags a tested image and its debug variant, which a build pushed to the repository.

    Args:
        repository_name: An existing repository of Amazon ECR Public.
        version: ``1.4.2`` becomes the tags ``1.4.2``, ``1.4``, ``1`` and ``latest``; a release candidate such as
            ``1.5.0-rc.1`` gets only its own tag.
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
        tags = ReleaseTags.semver(version)

        release = PublicImage(
            self,
            "Release",
            repository=repository,
            source=ImageSource.digest(digest),
            tags=tags,
            # After 1.4.2, a release of 1.3.9 leaves 1 and latest where they are.
            rules=[ReleaseRule.forward_only()],
        )
        debug = PublicImage(
            self,
            "Debug",
            repository=repository,
            source=ImageSource.digest(debug_digest),
            tags=ReleaseTags.semver(version, suffix="-debug"),
            rules=[ReleaseRule.forward_only(suffix="-debug")],
        )
        # The main image first.
        debug.node.add_dependency(release)

        CfnOutput(self, "Image", value=release.image_uri)
        CfnOutput(self, "Version", value=release.image_uri_for_tag(tags[0]))


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
    """
    Copies an approved image from a private repository to the public one, without known vulnerabilities and signed.

    Args:
        signing_key: The ARN of an asymmetric key of AWS KMS. Empty: the image is not signed.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        repository_name: str,
        private_repository_name: str,
        approved_digest: str,
        signing_key: str,
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
            rules=[ReleaseRule.scan_findings(max_severity="MEDIUM")],
            sign_with=Signing.kms(kms.Key.from_key_arn(self, "Key", signing_key)) if signing_key else None,
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


class AgentUpkeep(Stack):
    """Puts tags back that someone moved by hand, and lists images that are no longer needed."""

    def __init__(self, scope: Construct, construct_id: str, *, repository_name: str, images: Construct) -> None:
        super().__init__(scope, construct_id)
        alerts = sns.Topic(self, "Alerts")
        PublicImageMonitor(self, "Monitor", images=images, topic=alerts, repair=True)
        PublicRepositoryRetention(
            self,
            "Retention",
            repository=PublicRepository.from_repository_name(self, "Repository", repository_name),
            lifecycle_rules=[ecr.LifecycleRule(tag_status=ecr.TagStatus.UNTAGGED, max_image_age=Duration.days(30))],
            topic=alerts,
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
    signing_key=context("signing_key"),
)
if preview := app.node.try_get_context("preview_image"):
    AgentPreview(
        app,
        "AgentPreview",
        repository_name=context("repository"),
        image_path=preview,
        tag=context("preview_tag"),
    )
AgentUpkeep(app, "AgentUpkeep", repository_name=context("repository"), images=app)
app.synth()

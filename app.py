"""
An example to read, to deploy and to change: a public image and its debug variant.

The release is declared by three context values (see ``cdk.json``)::

    cdk diff   --context version=1.4.2 --context digest=sha256:… --context debug_digest=sha256:…
    cdk deploy --context version=1.4.2 --context digest=sha256:… --context debug_digest=sha256:…
"""

from __future__ import annotations

from aws_cdk import App, CfnOutput, Stack
from constructs import Construct

from cdk_ecrpublic import ImageSource, PublicImage, PublicRepository


class AgentRelease(Stack):
    """
    What everybody may pull of ``agent``, from any Region.

    Args:
        repository_name: An existing repository of Amazon ECR Public.
        version: ``major.minor.patch``; tags the image together with ``major.minor`` and ``latest``.
        digest: The tested image, pushed to that repository before.
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


app = App()
AgentRelease(
    app,
    "AgentRelease",
    repository_name=app.node.get_context("repository"),
    version=app.node.get_context("version"),
    digest=app.node.get_context("digest"),
    debug_digest=app.node.get_context("debug_digest"),
)
app.synth()

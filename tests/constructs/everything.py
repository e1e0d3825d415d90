"""An app with every kind of source and every rule, and the findings of a cdk-nag rule pack in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cdk_nag
import pytest
from aws_cdk import App, Environment, RemovalPolicy, Stack, Validations
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs

from cdk_ecrpublic import (
    IImageSource,
    ImageSource,
    OnTagRemoved,
    PublicImage,
    PublicImageProvider,
    PublicRepository,
)
from cdk_ecrpublic.sandbox.images import build_image
from tests.support.archives import layout_of, tar_of

DIGEST = "sha256:" + "a" * 64
ENVIRONMENT = Environment(account="111111111111", region="us-east-1")
PACKS = sorted(name for name in dir(cdk_nag) if name.endswith("Checks"))
INDEX = '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}'

RULES: Mapping[str, Mapping[str, Any]] = {
    "Expected": {"expected_digest": f"sha256:{hashlib.sha256(INDEX.encode()).hexdigest()}"},
    "Platforms": {"platforms": ["linux/arm64"], "required_platforms": ["linux/arm64"]},
    "Immutable": {"immutable_tags": ["1.*"]},
    "Untag": {"on_tag_removed": OnTagRemoved.UNTAG},
    "Destroy": {"removal_policy": RemovalPolicy.DESTROY},
    "Referrers": {"include_referrers": True, "refresh": "1"},
}
"""Every rule of an image."""


class Everything:
    """
    The app: a stack with our constructs, and one with an app's existing resources.

    The other one breaks rules on purpose: a pack that finds nothing there did
    not run.
    """

    def __init__(self, folder: Path) -> None:
        self.out = folder / "cdk.out"
        self.app = App(outdir=str(self.out))
        self.around = Stack(self.app, "Around", env=ENVIRONMENT)
        self.stack = Stack(self.app, "Images", env=ENVIRONMENT)
        self.key = kms.Key(self.around, "Key")
        self.bucket = s3.Bucket(self.around, "Bucket", encryption_key=self.key)
        self.secret = secretsmanager.Secret(self.around, "Secret")
        (folder / "Dockerfile").write_text("FROM scratch\n")
        (folder / "manifest.json").write_text(INDEX.replace("[]", "[]" + " " * 17_000))
        (folder / "image.tar").write_bytes(tar_of(layout_of((build_image({"agent": b"a program"}), {}))))
        self._folder = folder

    def provide(self, **options: Any) -> PublicImageProvider:
        """Create the function, with options."""
        return PublicImageProvider(self.stack, "Provider", **options)

    def all_options(self) -> dict[str, Any]:
        """Return every option of the function that a rule may require."""
        return {
            "vpc": ec2.Vpc(self.around, "Vpc"),
            "dead_letter_queue": sqs.Queue(self.around, "Queue"),
            "tracing": lambda_.Tracing.ACTIVE,
            "log_encryption_key": self.key,
            "log_retention": logs.RetentionDays.ONE_YEAR,
            "reserved_concurrent_executions": 5,
            "permissions_boundary": iam.ManagedPolicy.from_aws_managed_policy_name("PowerUserAccess"),
            "managed_policy": True,
            "authenticated_reads": False,
        }

    def publish(self, name: str, source: IImageSource, **options: Any) -> None:
        """Declare an image in a new repository."""
        name = name.replace("_", "-").replace(" ", "-").lower()
        repository = PublicRepository.from_repository_name(self.stack, f"{name}.repository", f"acme/{name}")
        PublicImage(self.stack, name, repository=repository, source=source, tags=["1.0"], **options)

    def publish_all(self, *names: str) -> None:
        """Declare an image for each of these sources and one for each rule."""
        for name in names:
            self.publish(name, self.sources()[name]())
        for name, options in RULES.items():
            self.publish(name, ImageSource.manifest(INDEX), **options)
        PublicImage(
            self.stack,
            "Own",
            repository=PublicRepository(self.stack, "Agent", repository_name="acme/own"),
            source=ImageSource.manifest(INDEX),
        )

    def sources(self) -> dict[str, Callable[[], IImageSource]]:
        """Return every kind of source."""
        files, private = self._folder, ecr.Repository.from_repository_name
        return {
            "digest": lambda: ImageSource.digest(DIGEST),
            "tag": lambda: ImageSource.tag("stable"),
            "manifest": lambda: ImageSource.manifest(INDEX),
            "manifest_file": lambda: ImageSource.manifest_file(files / "manifest.json"),
            "registry": lambda: ImageSource.registry("ghcr.io/acme/agent:1"),
            "registry with credentials": lambda: ImageSource.registry("ghcr.io/a/b:1", credentials=self.secret),
            "public": lambda: ImageSource.public("public.ecr.aws/acme/other", tag="1"),
            "ecr": lambda: ImageSource.ecr(private(self.stack, "Private", "in/side"), tag="1"),
            "docker_asset": lambda: ImageSource.docker_asset(
                ecr_assets.DockerImageAsset(self.stack, "Asset", directory=str(files), exclude=["cdk.out"])
            ),
            "archive": lambda: ImageSource.archive(files / "image.tar"),
            "archive_object": lambda: ImageSource.archive_object(self.bucket, "image.tar"),
            "index": lambda: ImageSource.index({"linux/arm64": ImageSource.registry("ghcr.io/acme/agent:1")}),
            "index of digests": lambda: ImageSource.index({"linux/arm64": ImageSource.digest(DIGEST)}),
        }

    def check(self, pack: str) -> Report:
        """Synthesize it with a rule pack."""
        Validations.of(self.app).add_plugins(getattr(cdk_nag, pack)())
        with pytest.raises(RuntimeError, match="ValidationFailed"):
            self.app.synth()
        report = self.report()
        assert report.findings("Around/") != set()
        return report

    def report(self) -> Report:
        """Read the findings of the validation."""
        return Report(json.loads((self.out / "validation-report.json").read_text()))


@dataclass(frozen=True)
class Report:
    """The report of cdk-nag."""

    content: dict[str, Any] = field(repr=False)

    def findings(self, path: str) -> set[tuple[str, str]]:
        """Return each rule that is violated below *path*, with the construct that violates it."""
        return set(self._findings("violations", path))

    def acknowledged(self, path: str) -> set[tuple[str, str]]:
        """Return the warnings that would appear if they were not acknowledged."""
        return set(self._findings("suppressedViolations", path))

    def _findings(self, kind: str, path: str) -> Iterator[tuple[str, str]]:
        violations = [each for plugin in self.content["pluginReports"] for each in plugin.get(kind, ())]
        for violation in violations:
            paths = [construct["constructPath"] for construct in violation["violatingConstructs"]]
            yield from ((violation["ruleName"], each) for each in paths if each.startswith(path))

"""
One declaration of every kind, as users of a release write it.

What is declared here never changes: each has been recorded with every release
since it was added, and is held against these records. A new kind of
declaration, or a new option, gets a new entry.
"""

from __future__ import annotations

import base64
import json
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aws_cdk import App, Duration, RemovalPolicy, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager

from cdk_ecrpublic import (
    IgnoredFinding,
    IImageSource,
    ImageSource,
    IPublicRepository,
    OnTagRemoved,
    PublicImage,
    PublicImageProviderStack,
    PublicRepository,
    ReleaseRule,
    RequiredSignature,
    Signing,
)
from cdk_ecrpublic._assets.lambda_handler.oci import ManifestMediaType
from cdk_ecrpublic.sandbox.images import Image
from tests.support.archives import layout_of, tar_of

REPOSITORY, UPSTREAM, PRIVATE = "acme/agent", "up/stream", "acme/internal"
REGISTRY = "registry.example.com"
"""The placeholder for a registry that needs a secret, and for that of ECR Public."""

BUCKET, KEY = "archives", "agent.tar"
KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SECRET_ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:login-AbCdEf"


def _image_of(record: dict[str, Any]) -> Image:
    blobs = {digest: base64.b64decode(blob) for digest, blob in record["blobs"].items()}
    children = tuple(_image_of(child) for child in record["children"])
    media_type = ManifestMediaType(record["mediaType"])
    return Image(manifest=record["manifest"].encode(), media_type=media_type, blobs=blobs, children=children)


IMAGE = _image_of(json.loads(Path(__file__).with_name("image.json").read_text(encoding="utf-8")))
"""An index of two platforms. A file, since not every Python compresses layers to the same bytes."""

AMD, ARM = IMAGE.children
DIGEST = IMAGE.digest


def archive() -> bytes:
    """Return the OCI image layout of the image, with the same bytes each time."""
    return tar_of(
        layout_of((IMAGE, {"org.opencontainers.image.ref.name": "acme/agent:1.4"})), format=tarfile.USTAR_FORMAT
    )


def _file(name: str, content: bytes) -> Path:
    path = Path(tempfile.mkdtemp(), name)
    path.write_bytes(content)
    return path


def large_manifest() -> str:
    """Return an index that is too large for a template."""
    index = json.loads(IMAGE.manifest)
    return json.dumps({**index, "annotations": {"org.opencontainers.image.description": "long " * 4000}})


def _image(stack: Stack, source: IImageSource, *tags: str, **options: object) -> PublicImage:
    return PublicImage(stack, "Release", repository=_repository(stack), source=source, tags=tags, **options)  # type: ignore[arg-type]


def _repository(stack: Stack) -> IPublicRepository:
    return PublicRepository.from_repository_name(stack, "Repository", REPOSITORY)


def digest(stack: Stack) -> None:
    _image(stack, ImageSource.digest(DIGEST), "digest-1", "digest")


def digest_without_tags(stack: Stack) -> None:
    _image(stack, ImageSource.digest(DIGEST))


def registry_id(stack: Stack) -> None:
    repository = PublicRepository.from_repository_name(stack, "Repository", REPOSITORY, registry_id="123456789012")
    PublicImage(stack, "Release", repository=repository, source=ImageSource.digest(DIGEST), tags=["registry-id"])


def tag(stack: Stack) -> None:
    _image(stack, ImageSource.tag("build-1"), "tag")


def manifest(stack: Stack) -> None:
    _image(stack, ImageSource.manifest(IMAGE.manifest.decode(), media_type=IMAGE.media_type), "manifest")


def manifest_in_s3(stack: Stack) -> None:
    _image(stack, ImageSource.manifest(large_manifest()), "manifest-in-s3")


def registry(stack: Stack) -> None:
    login = secretsmanager.Secret.from_secret_complete_arn(stack, "Login", SECRET_ARN)
    _image(stack, ImageSource.registry(f"{REGISTRY}/{UPSTREAM}:3", credentials=login), "registry")


def registry_by_digest(stack: Stack) -> None:
    _image(stack, ImageSource.registry(f"{REGISTRY}/{UPSTREAM}@{DIGEST}"), "registry-by-digest")


def public(stack: Stack) -> None:
    _image(stack, ImageSource.public(f"{REGISTRY}/{UPSTREAM}", tag="3"), "public")


def private(stack: Stack) -> None:
    _image(stack, ImageSource.ecr(ecr.Repository.from_repository_name(stack, "Private", PRIVATE), digest=DIGEST), "ecr")


def docker_asset(stack: Stack) -> None:
    folder = _file("Dockerfile", b"FROM scratch\n").parent
    _image(stack, ImageSource.docker_asset(ecr_assets.DockerImageAsset(stack, "Build", directory=str(folder))), "asset")


def archive_file(stack: Stack) -> None:
    _image(stack, ImageSource.archive(_file("agent.tar", archive())), "archive-file")


def archive_object(stack: Stack) -> None:
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", BUCKET)
    _image(stack, ImageSource.archive_object(bucket, KEY, reference="acme/agent:1.4"), "archive-object")


def index(stack: Stack) -> None:
    images = {"linux/amd64": ImageSource.digest(AMD.digest), "linux/arm64": ImageSource.digest(ARM.digest)}
    _image(stack, ImageSource.index(images, annotations={"org.opencontainers.image.version": "1.0.0"}), "index")


def platforms(stack: Stack) -> None:
    _image(stack, ImageSource.digest(DIGEST), "platforms", platforms=["linux/amd64"])


def rules(stack: Stack) -> None:
    _image(
        stack,
        ImageSource.registry(f"{REGISTRY}/{UPSTREAM}:3"),
        "rules-1.0",
        "rules",
        expected_digest=DIGEST,
        required_platforms=["linux/amd64", "linux/arm64"],
        immutable_tags=["rules-1.*"],
        include_referrers=True,
        refresh="2026-01-01",
    )


def release_rules(stack: Stack) -> None:
    _image(
        stack,
        ImageSource.digest(DIGEST),
        "release-rules-1.0",
        "release-rules",
        rules=[
            ReleaseRule.required_platforms(["linux/amd64"]),
            ReleaseRule.immutable_tags(["release-rules-1.*"], warn_only=True),
        ],
    )


def forward_only(stack: Stack) -> None:
    _image(
        stack,
        ImageSource.digest(DIGEST),
        "forward-only-1.0",
        "forward-only",
        rules=[
            ReleaseRule.forward_only(
                ["forward-only"], on_older="refuse", allow_unknown=True, prefix="v", suffix="-debug", warn_only=True
            )
        ],
    )


def required_referrers(stack: Stack) -> None:
    rule = ReleaseRule.required_referrers(["sbom", "https://slsa.dev/provenance/*"], warn_only=True, each_platform=True)
    _image(stack, ImageSource.digest(DIGEST), "required-referrers", rules=[rule])


def scan_findings(stack: Stack) -> None:
    private = ecr.Repository.from_repository_name(stack, "Private", PRIVATE)
    rule = ReleaseRule.scan_findings(
        "MEDIUM",
        only_fixable=True,
        allow_unrated=True,
        ignore=[IgnoredFinding("CVE-2025-0001", reason="not reachable", until="2099-12-31")],
        max_age=Duration.days(7),
        allow_states=["SCAN_NOT_FOUND"],
    )
    _image(stack, ImageSource.ecr(private, digest=DIGEST), "scan-findings", rules=[rule])


def signatures(stack: Stack) -> None:
    key = kms.Key.from_key_arn(stack, "Key", KEY_ARN)
    required = [
        RequiredSignature.kms(key),
        RequiredSignature.kms(key, repository="ghcr.io/acme/agent"),
    ]
    _image(
        stack,
        ImageSource.digest(DIGEST),
        "signatures",
        rules=[ReleaseRule.required_signatures(required, any_of=True, each_platform=True, warn_only=True)],
        sign_with=Signing.kms(key, as_tag=True, children=True),
    )


def removal(stack: Stack) -> None:
    _image(
        stack,
        ImageSource.digest(DIGEST),
        "removal-1.0",
        "removal",
        on_tag_removed=OnTagRemoved.UNTAG,
        removal_policy=RemovalPolicy.DESTROY,
    )


DECLARATIONS: dict[str, Callable[[Stack], None]] = {
    declare.__name__: declare
    for declare in (
        digest,
        digest_without_tags,
        registry_id,
        tag,
        manifest,
        manifest_in_s3,
        registry,
        registry_by_digest,
        public,
        private,
        docker_asset,
        archive_file,
        archive_object,
        index,
        platforms,
        rules,
        release_rules,
        forward_only,
        required_referrers,
        scan_findings,
        signatures,
        removal,
    )
}


def provider_stack(app: App) -> Stack:
    """Add the stack whose exports are imported by templates in other languages."""
    return PublicImageProviderStack(app, "Images", repositories=[REPOSITORY], removes=True)

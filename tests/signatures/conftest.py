"""The function, a sandbox with KMS, and cosign."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from cdk_ecrpublic._assets.lambda_handler.oci import Repository
from cdk_ecrpublic.sandbox import SandboxProcess
from cdk_ecrpublic.sandbox.images import Image, build_image, tags_of
from cdk_ecrpublic.sandbox.testing.client import RegistryClient
from lambda_handler.cfn import Event, Response
from lambda_handler.cfn.event import RequestType
from lambda_handler.clock import Deadline
from lambda_handler.entrypoint import Adapters, Clients
from lambda_handler.log import Log
from lambda_handler.oci import Descriptor, Digest
from lambda_handler.resources.public_image import PublicImageResource
from lambda_handler.retry import Retry
from lambda_handler.signatures.bundle import EMPTY, referrer_of
from lambda_handler.signatures.simple_signing import with_signature
from tests.copies.conftest import Publisher, two_platforms
from tests.copies.test_referrers import artifact
from tests.protocol.cloudformation import STACK_ID
from tests.protocol.conftest import plane, running_plane
from tests.support.clock import SteppingClock
from tests.support.control_plane import ControlPlane
from tests.support.cosign import Cosign

__all__ = ["plane", "running_plane"]

KINDS: dict[str, Callable[[], Image]] = {
    "index": two_platforms,
    "single image": lambda: build_image({"etc/text": b"one"}),
    "artifact": lambda: artifact("chart", b"templates"),
}


@pytest.fixture(scope="session")
def process() -> Iterator[SandboxProcess]:
    pytest.importorskip("cryptography", reason="the KMS of the sandbox signs with it")
    with SandboxProcess() as process:
        yield process


@dataclass
class Function(Publisher):
    """Also serves an Update."""

    def update(self, properties: Mapping[str, object], old: Mapping[str, object]) -> Response:
        retry = Retry(Deadline.after(self.seconds, self.clock), Log())
        clients = Clients()
        event = Event(
            request_type=RequestType.UPDATE,
            response_url="",
            sent=self.clock.wall(),
            stack_id=STACK_ID,
            request_id="2",
            logical_resource_id="Image",
            resource_type="Custom::ECRPublicImage",
            physical_resource_id=f"ecr-public:{self.sandbox.account}/acme/agent:Image",
            properties=properties,
            old_properties=old,
        )
        return PublicImageResource(lambda declared: Adapters(declared, clients, retry, retry), Log()).update(event)

    def attached(self, image: Image, repository: str = "acme/agent") -> list[str]:
        """Return the digests of the referrers of an image, as a client sees them."""
        return self.attached_to(image.digest, repository)

    def attached_to(self, digest: str, repository: str = "acme/agent") -> list[str]:
        """Return the same, by the digest of the image."""
        return RegistryClient(Repository.parse(self.uri(repository)), None).referrers(digest)

    def signatures_under(self, tag: str) -> list[str]:
        """Return the digests of the payloads under a tag of cosign."""
        layers = json.loads(self.pull(tag).manifest)["layers"]
        return [layer["digest"] for layer in layers]

    def has(self, repository: str, digest: str) -> bool:
        """Whether a repository has an image."""
        images = self.sandbox.client("ecr-public").describe_images(repositoryName=repository)["imageDetails"]
        return digest in {image["imageDigest"] for image in images}

    def tags(self) -> dict[str, str]:
        return tags_of(self.uri("acme/agent"))


@pytest.fixture
def publisher(process: SandboxProcess, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> Function:
    """The function, its destination ``acme/agent``, and its source ``up/stream``."""
    process.reset()
    for name, value in process.environment().items():
        monkeypatch.setenv(name, value)
    for name, value in plane.environment().items():
        monkeypatch.setenv(name, value)
    for name in ("acme/agent", "up/stream"):
        process.client("ecr-public").create_repository(repositoryName=name)
    return Function(process, SteppingClock())  # type: ignore[arg-type]


@pytest.fixture
def make_key(process: SandboxProcess) -> Callable[..., str]:
    """Return a function that creates a key and returns its ARN."""

    def make(spec: str = "ECC_NIST_P256", usage: str = "SIGN_VERIFY") -> str:
        made = process.client("kms").create_key(KeySpec=spec, KeyUsage=usage)
        arn: str = made["KeyMetadata"]["Arn"]
        return arn

    return make


@pytest.fixture
def cosign(process: SandboxProcess, tmp_path: Path) -> Cosign:
    folder = tmp_path / "cosign"
    folder.mkdir()
    return Cosign(process, folder)


def id_of(key_arn: str) -> str:
    return key_arn.rpartition("/")[2]


def changed(image: Image, blob: str, content: bytes) -> Image:
    """Return an image with one changed blob, and the matching manifest."""
    new = str(Digest.of(content))
    data = json.loads(image.manifest)
    for layer in data["layers"]:
        if layer["digest"] == blob:
            layer.update(digest=new, size=len(content))
    blobs = {digest: each for digest, each in image.blobs.items() if digest != blob}
    return Image(manifest=json.dumps(data).encode(), media_type=image.media_type, blobs={**blobs, new: content})


def push_tag(
    publisher: Function, image: Image, *signed: tuple[bytes, bytes], repository: str = "up/stream", key_hint: str = ""
) -> None:
    """Push payloads with their signatures under the tag of an image."""
    manifest, config = None, b""
    for payload, signature in signed:
        manifest, config = with_signature(manifest, payload, signature, key_hint)
    assert manifest is not None
    blobs = {str(Digest.of(content)): content for content in (config, *(payload for payload, _ in signed))}
    tagged = Image(manifest=manifest.content, media_type=manifest.media_type.value, blobs=blobs)
    publisher.push(tagged, image.digest.replace(":", "-") + ".sig", repository=repository)


def push_bundle(
    publisher: Function, image: Image, bundle: bytes, *, repository: str = "up/stream", key_hint: str = ""
) -> Image:
    """Attach a bundle to an image."""
    subject = Descriptor(media_type=image.media_type, digest=Digest.parse(image.digest), size=len(image.manifest))
    referrer = referrer_of(bundle, subject, key_hint)
    blobs = {str(Digest.of(content)): content for content in (EMPTY, bundle)}
    return publisher.push(
        Image(manifest=referrer.content, media_type=referrer.media_type.value, blobs=blobs), repository=repository
    )

"""The registries of a run: two sandboxes, one to copy from, the other to publish to."""

from __future__ import annotations

import base64
import json
import random
import tempfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import urllib3

from cdk_ecrpublic.sandbox import Fault, SandboxProcess
from lambda_handler.clock import Deadline, SystemClock
from lambda_handler.log import Log
from lambda_handler.oci import Descriptor, Digest, Manifest, Repository
from lambda_handler.registry import RegistryClient, Transport, Uploads
from lambda_handler.registry.auth import RegistryAuth
from lambda_handler.retry import Retry

MIB = 1024 * 1024
UPSTREAM, DESTINATION = "up/stream", "acme/agent"
IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ARCHITECTURES = ("amd64", "arm64", "s390x", "ppc64le")
PUSH_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Shape:
    """
    An image to copy.

    Attributes:
        layers: The sizes of the layers of each platform, in bytes; for more than one platform there is an index.
        shared: The sizes of the layers that all of them have.
    """

    name: str
    layers: Sequence[Sequence[int]]
    shared: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Pushed:
    """
    An image in a registry.

    Attributes:
        uri: The repository's address.
        reference: By digest.
    """

    uri: str
    digest: str
    is_index: bool

    @property
    def reference(self) -> str:
        """Its whole name, by digest."""
        return f"{self.uri}@{self.digest}"


class Side:
    """One of the registries, with a repository in it that is there from the start."""

    def __init__(self, sandbox: SandboxProcess, repository: str) -> None:
        self.sandbox = sandbox
        self._numbers = iter(range(1, 1_000_000))
        self.create(repository)
        self.repository = repository
        self.password = self.api.get_authorization_token()["authorizationData"]["authorizationToken"]

    @property
    def host(self) -> str:
        """The registry's host and port."""
        return self.sandbox.registry_host

    @property
    def login(self) -> str:
        """User and password, with a colon between."""
        return base64.b64decode(self.password).decode()

    @property
    def api(self) -> Any:  # noqa: ANN401 - boto3's clients are made at run time
        """The API's client."""
        return self.sandbox.client("ecr-public")

    def create(self, repository: str) -> str:
        """Make a repository; return its address."""
        return str(self.api.create_repository(repositoryName=repository)["repository"]["repositoryUri"])

    @contextmanager
    def temporary(self) -> Iterator[tuple[str, str]]:
        """Make an empty repository for a moment: its name and address."""
        name = f"{self.repository}-{next(self._numbers)}"
        try:
            yield name, self.create(name)
        finally:
            self.api.delete_repository(repositoryName=name, force=True)

    @property
    def uri(self) -> str:
        """The address of the repository that was there from the start."""
        return self.uri_of(self.repository)

    def uri_of(self, repository: str) -> str:
        """Return the address of a repository."""
        found = self.api.describe_repositories(repositoryNames=[repository])["repositories"][0]
        return str(found["repositoryUri"])

    def digest_of(self, tag: str, repository: str) -> str:
        """Return what a tag points to."""
        found = self.api.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
        return str(found["imageDetails"][0]["imageDigest"])

    def publish(self, repository: str, tags: Sequence[str]) -> str:
        """Make a repository that holds one small image, always the same, under these tags; return its digest."""
        self.create(repository)
        contents = {CONFIG: b'{"os": "linux", "architecture": "amd64"}', LAYER: b"layer"}
        config, layer = (self._store(repository, kind, [content]) for kind, content in contents.items())
        manifest = json.dumps({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [layer]}).encode()
        return [self._put(repository, manifest, IMAGE, tag) for tag in tags][-1]

    def manifest_of(self, image: Pushed) -> str:
        """Return an image's manifest, as it is."""
        address = Repository.parse(image.uri)
        return self._client(address).read(address, Digest.parse(image.digest)).text

    def children_of(self, index: Pushed) -> list[str]:
        """Return the digests that an index lists."""
        return [each["digest"] for each in json.loads(self.manifest_of(index))["manifests"]]

    def push(self, shape: Shape, tag: str) -> Pushed:
        """Store an image of this shape."""
        shared = [self._layer(size) for size in shape.shared]
        manifests = [
            self._manifest([*shared, *map(self._layer, sizes)], architecture)
            for sizes, architecture in zip(shape.layers, ARCHITECTURES, strict=False)
        ]
        if len(manifests) == 1:
            return Pushed(self.uri, self._put(self.repository, manifests[0], IMAGE, tag), is_index=False)
        children = [
            {
                "mediaType": IMAGE,
                "digest": self._put(self.repository, manifest, IMAGE),
                "size": len(manifest),
                "platform": {"os": "linux", "architecture": architecture},
            }
            for manifest, architecture in zip(manifests, ARCHITECTURES, strict=False)
        ]
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).encode()
        return Pushed(self.uri, self._put(self.repository, index, INDEX, tag), is_index=True)

    def _manifest(self, layers: Sequence[Mapping[str, object]], architecture: str) -> bytes:
        config = json.dumps({"os": "linux", "architecture": architecture, "rootfs": {"type": "layers"}}).encode()
        described = self._store(self.repository, CONFIG, [config])
        return json.dumps({"schemaVersion": 2, "mediaType": IMAGE, "config": described, "layers": layers}).encode()

    def _layer(self, size: int) -> Mapping[str, object]:
        """Store a layer of bytes that nothing compresses, and that no other layer has."""
        return self._store(self.repository, LAYER, _Random(size, next(self._numbers)))

    def _store(self, repository: str, media_type: str, pieces: Iterable[bytes]) -> Mapping[str, object]:
        """Upload a blob; *pieces* are gone through twice."""
        hasher, size = sha256(), 0
        for piece in pieces:
            hasher.update(piece)
            size += len(piece)
        blob = Descriptor(media_type=media_type, digest=Digest.parse(f"sha256:{hasher.hexdigest()}"), size=size)

        def content() -> Generator[bytes, None, None]:
            yield from pieces

        address = Repository.parse(self.uri_of(repository))
        retry = Retry(Deadline.after(PUSH_SECONDS, SystemClock()), Log())
        client = self._client(address)
        Uploads(client.transport, client.auth, address, retry).upload(blob, content)
        return {"mediaType": media_type, "digest": str(blob.digest), "size": size}

    def _client(self, address: Repository) -> RegistryClient:
        transport = Transport(urllib3.PoolManager(), Deadline.after(PUSH_SECONDS, SystemClock()))
        return RegistryClient(transport, RegistryAuth(address.host, lambda: self.login))

    def _put(self, repository: str, content: bytes, media_type: str, tag: str = "") -> str:
        digest = str(Manifest.parse(content, media_type).digest)
        tagged = {"imageTag": tag} if tag else {}
        self.api.put_image(
            repositoryName=repository,
            imageManifest=content.decode(),
            imageManifestMediaType=media_type,
            imageDigest=digest,
            **tagged,
        )
        return digest


@dataclass(frozen=True, slots=True)
class _Random:
    """
    Bytes that nothing compresses, in a gzip stream that does not either; the same each time.

    Attributes:
        size: Before they are in the stream, which adds 5 bytes to every 32 KiB.
        number: Of the layer; no two are the same.
    """

    size: int
    number: int

    def __iter__(self) -> Iterator[bytes]:
        # Tools look at the first bytes: what does not begin as gzip does, they compress.
        packer = zlib.compressobj(0, wbits=zlib.MAX_WBITS | 16)
        block = random.Random(self.number).randbytes(min(self.size, MIB))  # noqa: S311 - filling, no secret
        for first in range(0, self.size, MIB):
            yield packer.compress((f"{self.number:08d}{first:016d}".encode() + block)[: min(MIB, self.size - first)])
        yield packer.flush()


class Registries:
    """Used as a context manager."""

    upstream: Side
    destination: Side

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as unless_ready:
            unless_ready.callback(self._stack.close)
            self._home = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            self.upstream = Side(self._stack.enter_context(SandboxProcess()), UPSTREAM)
            self.destination = Side(self._stack.enter_context(SandboxProcess()), DESTINATION)
            self._write_settings()
            unless_ready.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _write_settings(self) -> None:
        """Let container tools log in, and have those that ask speak plain HTTP."""
        sides = (self.upstream, self.destination)
        auth = {"auths": {side.host: {"auth": side.password} for side in sides}}
        (self._home / "config.json").write_text(json.dumps(auth), encoding="utf-8")
        insecure = (f'[[registry]]\nlocation = "{side.host}"\ninsecure = true\n' for side in sides)
        (self._home / ".config/containers").mkdir(parents=True)
        (self._home / ".config/containers/registries.conf").write_text("".join(insecure), encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find AWS and the registries, and to log in."""
        tools = {
            "HOME": str(self._home),
            "DOCKER_CONFIG": str(self._home),
            "REGISTRY_AUTH_FILE": str(self._home / "config.json"),
        }
        return {**self.destination.sandbox.environment(), **tools}

    def slow_down(self, milliseconds: int) -> None:
        """Let every answer come so much later."""
        for side in (self.upstream, self.destination):
            side.sandbox.faults.clear()
            if milliseconds:
                side.sandbox.faults.add(Fault(times=None, delay_seconds=milliseconds / 1000))

    def count_from_now(self) -> None:
        """Forget the requests so far."""
        for side in (self.upstream, self.destination):
            side.sandbox.requests.clear()

    def counted(self) -> dict[str, int]:
        """Return how many requests there were since, by operation."""
        operations = [
            request.operation for side in (self.upstream, self.destination) for request in side.sandbox.requests.all()
        ]
        return {operation: operations.count(operation) for operation in dict.fromkeys(operations)}

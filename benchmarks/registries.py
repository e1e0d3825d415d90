"""The registries of a run: two sandboxes, one as the source and one as the destination."""

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
from lambda_handler.registry import RegistryClient, Transport
from lambda_handler.registry.auth import RegistryAuth
from lambda_handler.registry.uploads import Uploads
from lambda_handler.retry import Retry

MIB = 1024 * 1024
LATENCY_MS = 30
"""The delay of each response in the rows with latency: a function and a registry in different Regions."""

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
        layers: The sizes of the layers of each platform in bytes; several platforms get an index.
        shared: The sizes of the layers that all platforms share.
    """

    name: str
    layers: Sequence[Sequence[int]]
    shared: Sequence[int] = ()

    @property
    def blobs(self) -> int:
        """The number of blobs, with a config for each platform."""
        return len(self.shared) + sum(len(sizes) + 1 for sizes in self.layers)


@dataclass(frozen=True, slots=True)
class Pushed:
    """
    An image in a registry.

    Attributes:
        uri: The address of the repository.
        reference: The reference by digest.
    """

    uri: str
    digest: str
    is_index: bool

    @property
    def reference(self) -> str:
        """The complete reference, by digest."""
        return f"{self.uri}@{self.digest}"


class Side:
    """One of the registries, with one repository."""

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
        """User and password, separated by a colon."""
        return base64.b64decode(self.password).decode()

    @property
    def api(self) -> Any:  # noqa: ANN401 - boto3's clients are made at run time
        """The API's client."""
        return self.sandbox.client("ecr-public")

    def create(self, repository: str) -> str:
        """Create a repository; return its address."""
        return str(self.api.create_repository(repositoryName=repository)["repository"]["repositoryUri"])

    @contextmanager
    def temporary(self) -> Iterator[tuple[str, str]]:
        """Create an empty repository until the end of the block; yield its name and address."""
        name = f"{self.repository}-{next(self._numbers)}"
        try:
            yield name, self.create(name)
        finally:
            self.api.delete_repository(repositoryName=name, force=True)

    @property
    def uri(self) -> str:
        """The address of the initial repository."""
        return self.uri_of(self.repository)

    def uri_of(self, repository: str) -> str:
        """Return the address of a repository."""
        found = self.api.describe_repositories(repositoryNames=[repository])["repositories"][0]
        return str(found["repositoryUri"])

    def digest_of(self, tag: str, repository: str) -> str:
        """Return the digest of a tag."""
        found = self.api.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
        return str(found["imageDetails"][0]["imageDigest"])

    def publish(self, repository: str, tags: Sequence[str]) -> str:
        """Create a repository with one small image under these tags; return the digest, which is always the same."""
        self.create(repository)
        contents = {CONFIG: b'{"os": "linux", "architecture": "amd64"}', LAYER: b"layer"}
        config, layer = (self._store(repository, kind, [content]) for kind, content in contents.items())
        manifest = json.dumps({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [layer]}).encode()
        return [self._put(repository, manifest, IMAGE, tag) for tag in tags][-1]

    def manifest_of(self, image: Pushed) -> str:
        """Return the manifest of an image, byte for byte."""
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
        """Store a layer of unique, incompressible bytes."""
        return self._store(self.repository, LAYER, _Random(size, next(self._numbers)))

    def _store(self, repository: str, media_type: str, pieces: Iterable[bytes]) -> Mapping[str, object]:
        """Upload a blob. *pieces* is iterated twice."""
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
    Incompressible bytes in a gzip stream without compression, the same each time.

    Attributes:
        size: The size before gzip, which adds 5 bytes to every 32 KiB.
        number: The number of the layer. Layers with different numbers differ.
    """

    size: int
    number: int

    def __iter__(self) -> Iterator[bytes]:
        # Tools compress a layer that does not begin with the magic bytes of gzip.
        packer = zlib.compressobj(0, wbits=zlib.MAX_WBITS | 16)
        block = random.Random(self.number).randbytes(min(self.size, MIB))  # noqa: S311 - content, not a secret
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
        """Write the logins of container tools, and configure plain HTTP."""
        sides = (self.upstream, self.destination)
        auth = {"auths": {side.host: {"auth": side.password} for side in sides}}
        (self._home / "config.json").write_text(json.dumps(auth), encoding="utf-8")
        insecure = (f'[[registry]]\nlocation = "{side.host}"\ninsecure = true\n' for side in sides)
        (self._home / ".config/containers").mkdir(parents=True)
        (self._home / ".config/containers/registries.conf").write_text("".join(insecure), encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        """The variables that direct a process to AWS and the registries, and to its logins."""
        tools = {
            "HOME": str(self._home),
            "DOCKER_CONFIG": str(self._home),
            "REGISTRY_AUTH_FILE": str(self._home / "config.json"),
        }
        return {**self.destination.sandbox.environment(), **tools}

    def slow_down(self, milliseconds: int) -> None:
        """Delay every response."""
        for side in (self.upstream, self.destination):
            side.sandbox.faults.clear()
            if milliseconds:
                side.sandbox.faults.add(Fault(times=None, delay_seconds=milliseconds / 1000))

    def count_from_now(self) -> None:
        """Discard the counts of requests."""
        for side in (self.upstream, self.destination):
            side.sandbox.requests.clear()

    def counted(self) -> dict[str, int]:
        """Return the number of requests since then, by operation."""
        operations = [
            request.operation for side in (self.upstream, self.destination) for request in side.sandbox.requests.all()
        ]
        return {operation: operations.count(operation) for operation in dict.fromkeys(operations)}

"""What a case receives: it sends requests, and records the responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

from cdk_ecrpublic._assets.lambda_handler.oci import Digest, ManifestMediaType

from .errors import LiveCheckError
from .guard import REGION
from .images import Image
from .normalize import Normalizer
from .recording import Recording, Step
from .session import Session
from .transport import Response

ACCEPT = ", ".join(ManifestMediaType)

FIRST_ERROR, NOT_FOUND = 400, 404

VISIBLE_PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)

_WRITES = ("PutImage", "BatchDeleteImage", "DeleteRepository", "CompleteLayerUpload")
_READS = ("GET", "HEAD")


@dataclass(slots=True, kw_only=True)
class Target:
    """
    One case on one endpoint.

    Attributes:
        session: The run.
        recording: What was recorded so far.
    """

    session: Session
    recording: Recording
    _normalizer: Normalizer = field(default_factory=Normalizer)
    _repositories: dict[str, str] = field(default_factory=dict)
    _has_written: bool = False
    _blobs: set[tuple[str, bytes]] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        endpoint, guard = self.session.endpoint, self.session.guard
        names = self._normalizer.names
        names.update({endpoint.account: "<account>", guard.unknown_alias: "<unknown alias>"})
        names.update({guard.run: "<run>", guard.stack.rstrip("-"): "<stacks>"})
        names.update({host: f"<registry {number}>" for number, host in enumerate(endpoint.hosts, 1)})

    def repository(self, which: str = "") -> str:
        """Return the name of a repository of this case, which is created when it is first needed."""
        if which not in self._repositories:
            suffix = f"-{which}" if which else ""
            name = self.session.create_repository(f"{self.recording.case}{suffix}")
            self._repositories[which] = name
            self._await(name)
            self._normalizer.names |= {
                name: f"<repository{suffix}>",
                self.session.guard.alias: "<alias>",
            }
        return self._repositories[which]

    def _await(self, name: str) -> None:
        """Wait until the registry shows a new repository. What is said before that is not what a case asks."""
        begin = self.session.now()
        for pause in VISIBLE_PAUSES_SECONDS:
            if self.send("GET", f"/v2/{self.session.guard.alias}/{name}/tags/list").status != NOT_FOUND:
                return
            self.wait(pause)
            self.measure("seconds until a new repository is visible", round(self.session.now() - begin, 1))

    def missing_repository(self) -> str:
        """Return the name of a repository that does not exist, and belongs to the run."""
        name = f"{self.session.guard.prefix}{self.recording.case}-missing"
        self._normalizer.names[name] = "<missing repository>"
        return name

    @property
    def unknown_alias(self) -> str:
        """An alias that no registry has."""
        return self.session.guard.unknown_alias

    # The control-plane API

    def api(self, operation: str, *, region: str = REGION, note: str = "", **parameters: Any) -> Response:  # noqa: ANN401
        """Call an operation, about the repository of the case if no other is given, and record the response."""
        if operation not in ("DescribeRegistries", "GetAuthorizationToken", "DescribeRepositories"):
            parameters = {"repositoryName": parameters.pop("repositoryName", None) or self.repository(), **parameters}
        self._settle(is_write=operation in _WRITES)
        response = self.session.patiently(lambda: self.session.transport.api(operation, parameters, region))
        shown = {name: value for name, value in parameters.items() if name not in _UNSHOWN}
        where = f" in {region}" if region != REGION else ""
        return self._record(f"{operation}{where} {self._shown(shown)} {note}".strip(), response)

    def raw_api(self, target: str, body: Mapping[str, Any], note: str, *, signed_for: str = "ecr-public") -> Response:
        """Send JSON to the control-plane API, and record the response."""
        response = self.session.transport.raw_api(target, body, signed_for=signed_for)
        return self._record(f"{target} {note}", response)

    def put(self, image: Image, tag: str = "", **parameters: Any) -> Response:  # noqa: ANN401
        """
        Call PutImage, after uploading the blobs of the image, and record the response.

        Args:
            tag: The tag; empty for none.
            parameters: Replace the usual ones: the digest and the media type. None removes one.
        """
        repository = str(parameters.get("repositoryName") or self.repository())
        self._know(image)
        for blob in image.blobs:
            self._upload(repository, blob)
        given = {
            "imageManifest": image.text,
            "imageManifestMediaType": image.media_type,
            "imageDigest": image.digest,
            "imageTag": tag or None,
            **parameters,
        }
        given = {name: value for name, value in given.items() if value is not None}
        return self.api("PutImage", note=f"of image {image.name}", **given)

    def describe(self, *images: Image, tags: tuple[str, ...] = ()) -> Response:
        """Describe images and tags, one call for all, and record the response."""
        ids = [{"imageDigest": image.digest} for image in images] + [{"imageTag": tag} for tag in tags]
        return self.api("DescribeImages", imageIds=ids)

    def list_images(self) -> Response:
        """Describe all images of the repository, and record the response."""
        return self.api("DescribeImages")

    def delete(self, *ids: Mapping[str, str]) -> Response:
        """Call BatchDeleteImage, and record the response."""
        return self.api("BatchDeleteImage", imageIds=list(ids))

    def upload_part(self, upload: str, content: bytes, first: int = 0, *, last: int = -1, note: str = "") -> Response:
        """Call UploadLayerPart, and record the response. *last* is the last byte; by default that of the content."""
        given: dict[str, Any] = {"partFirstByte": first, "partLastByte": first + len(content) - 1 if last < 0 else last}
        return self.api("UploadLayerPart", note=note, uploadId=upload, layerPartBlob=content, **given)

    def complete_upload(self, upload: str, digest: str, note: str = "") -> Response:
        """Call CompleteLayerUpload, and record the response."""
        return self.api("CompleteLayerUpload", note=note, uploadId=upload, layerDigests=[digest])

    # The registry API

    def http(
        self,
        method: str,
        path: str,
        *,
        login: str = "token",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        host: int = 0,
        note: str = "",
    ) -> Response:
        """
        Send a request to the registry API, and record the response.

        Args:
            path: A path below the repository of the case, or from the root of the host, or a URL.
            login: See ``Session.authorization``.
            host: Which of the two host names.
        """
        self._settle(is_write=method not in _READS)
        response = self.send(method, path, login=login, headers=headers, body=body, host=host)
        shown = self._normalizer.text(urlsplit(path).path if "://" in path else path)
        name = login if " " not in login else note
        details = "".join(f" {key}: {value}" for key, value in (headers or {}).items())
        extra = f" {note}" if note and note != name else ""
        return self._record(
            f"{method} {shown} [{name}]{details}{extra}",
            response,
            is_head=method == "HEAD" and response.status < FIRST_ERROR,
        )

    def send(
        self,
        method: str,
        path: str,
        *,
        login: str = "token",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        host: int = 0,
    ) -> Response:
        """Send a request to the registry API, without recording it."""
        endpoint, transport = self.session.endpoint, self.session.transport
        origin = f"{endpoint.scheme}://{endpoint.hosts[host]}"
        base = f"{origin}/" if path.startswith(("/", "http")) else self._base(origin)
        all_headers = {**self.session.authorization(login), **(headers or {})}
        kind = "anonymous" if login in ("anonymous", "none") else "http"
        return self.session.patiently(lambda: transport.http(method, urljoin(base, path), all_headers, body, kind))

    def read(self, reference: str, method: str = "GET", *, accept: str = ACCEPT, login: str = "token") -> Response:
        """Read a manifest by tag or digest, and record the response."""
        headers = {"Accept": accept} if accept else {}
        name = "" if accept == ACCEPT else f"accepting {accept or 'anything'}"
        self._settle(is_write=False)
        response = self.send(method, f"manifests/{reference}", login=login, headers=headers)
        request = f"{method} manifests/{self._normalizer.text(reference)} [{login}] {name}".strip()
        return self._record(request, response, is_head=method == "HEAD" and response.status < FIRST_ERROR)

    def upload(self, content: bytes, which: str = "") -> str:
        """Upload a blob to a repository of the case, without recording it, and return its digest."""
        self._upload(self.repository(which), content)
        return str(Digest.of(content))

    def push_to_private_ecr(self, image: Image) -> str:
        """Push an image to a new private repository of this case, without recording it, and return its reference."""
        self._know(image)
        reference = self.session.private.push(self.recording.case, image)
        self.name(reference.partition("@")[0], "private repository")
        return reference

    # Observations

    def observe(self, what: str, value: Any) -> None:  # noqa: ANN401 - JSON
        """Record something that follows from several responses."""
        self.recording.steps.append(Step(request=what, body=value))

    def expect_writes(self) -> None:
        """Note that something else than this case has written, for example a function."""
        self._has_written = True

    def text(self, value: str) -> str:
        """Replace what differs between runs, for an observation."""
        return self._normalizer.text(value)

    def data(self, value: Any) -> Any:  # noqa: ANN401 - JSON
        """Replace what differs between runs in JSON, for an observation."""
        return self._normalizer.data(value)

    def measure(self, what: str, value: Any) -> None:  # noqa: ANN401 - JSON
        """Report a number without comparing it."""
        self.recording.measured[what] = value

    def wait(self, seconds: float) -> None:
        """Wait."""
        self.session.transport.wait(seconds)

    def name(self, value: str, placeholder: str) -> None:
        """Give a string that differs between runs a placeholder."""
        self._normalizer.names[value] = f"<{placeholder}>"

    def _settle(self, *, is_write: bool) -> None:
        """Give a write some time before it is read."""
        if self._has_written and not is_write and self.session.endpoint.settle_seconds:
            self.wait(self.session.endpoint.settle_seconds)
        self._has_written = is_write

    def _base(self, origin: str) -> str:
        repository = self.repository()
        return f"{origin}/v2/{self.session.guard.alias}/{repository}/"

    def _know(self, image: Image) -> None:
        self._normalizer.names[image.digest] = f"<image {image.name}>"

    def _shown(self, parameters: Mapping[str, Any]) -> str:
        shown = self._normalizer.data(parameters)
        return " ".join(f"{name}={value}" for name, value in shown.items())

    def _record(self, request: str, response: Response, *, is_head: bool = False) -> Response:
        self.recording.steps.append(
            Step(
                request=request,
                status=response.status,
                code=response.code,
                text=self._normalizer.text(response.message),
                headers=self._normalizer.headers(response.headers, is_head=is_head),
                body=self._normalizer.data(_fields(response)),
            )
        )
        return response

    def _upload(self, repository: str, content: bytes) -> None:
        if (repository, content) in self._blobs:
            return
        origin = f"{self.session.endpoint.scheme}://{self.session.endpoint.hosts[0]}"
        url = f"{origin}/v2/{self.session.guard.alias}/{repository}/blobs/uploads/"
        started = self.send("POST", url)
        location = urljoin(url, started.headers.get("location", ""))
        digest = str(Digest.of(content))
        joint = "&" if "?" in location else "?"
        headers = {"Content-Type": "application/octet-stream"}
        done = self.send("PUT", f"{location}{joint}digest={digest}", headers=headers, body=content)
        if done.status >= FIRST_ERROR:
            message = f"a blob could not be uploaded: {done.status} {done.code} {done.message}"
            raise LiveCheckError(message)
        self._blobs.add((repository, content))


_UNSHOWN = ("imageManifest", "repositoryName", "layerPartBlob")


_ERROR_FIELDS = ("__type", "message", "Message")


def _fields(response: Response) -> Any:  # noqa: ANN401 - JSON
    """Return what a response says beside its error; a manifest is its digest, because it must not change by a byte."""
    data = response.data
    if not isinstance(data, Mapping):
        return f"{len(response.content)} bytes" if response.content else None
    if response.code:
        rest = {name: value for name, value in data.items() if name not in _ERROR_FIELDS}
        others = _other_errors(rest.pop("errors", None))
        return {**rest, **({"errors": others} if others else {})} or None
    if "schemaVersion" in data and "annotations" in data:
        return str(Digest.of(response.content))
    if "image" in data:
        content = str(data["image"].get("imageManifest", "")).encode()
        return {**data, "image": {**data["image"], "imageManifest": str(Digest.of(content))}}
    return data


def _other_errors(errors: object) -> list[Any]:
    """Return a list of errors without the code and the message of the first, which are compared on their own."""
    if not isinstance(errors, list) or not errors or not isinstance(errors[0], Mapping):
        return []
    first = {name: value for name, value in errors[0].items() if name not in ("code", "message")}
    return [first, *errors[1:]] if first or errors[1:] else []

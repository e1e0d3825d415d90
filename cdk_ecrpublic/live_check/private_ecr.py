"""Repositories of a run in private ECR, from which the function of this project copies."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from cdk_ecrpublic._assets.lambda_handler.oci import Digest

from .errors import LiveCheckError
from .guard import REGION, expiry_tags, private_host
from .images import Image

if TYPE_CHECKING:
    from .session import Session
    from .transport import Response

FIRST_ERROR = 400


@dataclass(slots=True)
class PrivateEcr:
    """
    The private repositories of one run.

    Attributes:
        names: Those that exist.
        has_created: Whether one was ever created.
    """

    session: Session
    names: list[str] = field(default_factory=list)
    has_created: bool = False

    def push(self, name: str, image: Image) -> str:
        """
        Push an image to a new repository, and return its reference with the digest.

        Raises:
            LiveCheckError: That failed.
        """
        full = f"{self.session.guard.prefix}{name}"
        self.names.append(full)
        self.has_created = True
        tags = expiry_tags(self.session.transport.budget.seconds_left)
        self._call("CreateRepository", repositoryName=full, tags=tags)
        data = self._call("GetAuthorizationToken")["authorizationData"][0]
        login = {"Authorization": f"Basic {data['authorizationToken']}"}
        password = base64.b64decode(data["authorizationToken"]).decode().partition(":")[2]
        self.session.transport.trace.secrets.add(password)
        base = f"{data['proxyEndpoint']}/v2/{full}/"
        for blob in image.blobs:
            self._upload(urljoin(base, "blobs/uploads/"), login, blob)
        headers = {**login, "Content-Type": image.media_type}
        self._http("PUT", urljoin(base, f"manifests/{image.digest}"), headers, image.manifest)
        return f"{private_host(self.session.endpoint.account)}/{full}@{image.digest}"

    def find(self) -> Iterator[str]:
        """
        List the names of all private repositories of the account in the Region.

        Raises:
            LiveCheckError: They cannot be listed.
        """
        token: dict[str, str] = {}
        while True:
            page = self._call("DescribeRepositories", maxResults=1000, **token)
            yield from (repository["repositoryName"] for repository in page["repositories"])
            if not page.get("nextToken"):
                return
            token = {"nextToken": page["nextToken"]}

    def tags(self, name: str) -> list[dict[str, str]]:
        """
        Return the resource tags of a repository.

        Raises:
            LiveCheckError: They cannot be read.
        """
        arn = f"arn:aws:ecr:{REGION}:{self.session.endpoint.account}:repository/{name}"
        found: list[dict[str, str]] = self._call("ListTagsForResource", resourceArn=arn)["tags"]
        return found

    def remove(self, name: str) -> None:
        """
        Delete a repository of the run with everything in it. It is no error if it does not exist.

        Raises:
            LiveCheckError: It was not deleted.
        """
        self._call("DeleteRepository", "RepositoryNotFoundException", repositoryName=name, force=True)
        if name in self.names:
            self.names.remove(name)

    def prove(self) -> None:
        """
        Prove that none is left, if there ever was one.

        Raises:
            LiveCheckError: One is left, or they cannot be listed.
        """
        if not self.has_created:
            return
        left = [name for name in self.find() if name.startswith(self.session.guard.prefix)]
        if left:
            names = ", ".join(left)
            message = f"these private repositories were not deleted: {names}; run again with --sweep --with stack"
            raise LiveCheckError(message)

    def _upload(self, url: str, login: Mapping[str, str], content: bytes) -> None:
        """Upload a blob as container tools do: begin, send, and commit."""
        started = self._http("POST", url, login)
        location = urljoin(url, started.headers.get("location", ""))
        headers = {**login, "Content-Type": "application/octet-stream"}
        sent = self._http("PATCH", location, headers, content)
        location = urljoin(location, sent.headers.get("location", ""))
        joint = "&" if urlsplit(location).query else "?"
        self._http("PUT", f"{location}{joint}digest={Digest.of(content)}", login)

    def _http(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Response:
        send = self.session.transport.private_http
        response = self.session.patiently(lambda: send(method, url, headers, body))
        if response.status >= FIRST_ERROR:
            message = f"private ECR refused {method}: {response.status} {response.code} {response.message}"
            raise LiveCheckError(message)
        return response

    def _call(self, operation: str, expected: str = "", **parameters: Any) -> Any:  # noqa: ANN401 - JSON
        response = self.session.transport.other("ecr", operation, **parameters)
        if response.code not in ("", expected):
            message = f"{operation} of private ECR failed: {response.code}: {response.message}"
            raise LiveCheckError(message)
        return response.data

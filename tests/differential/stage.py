"""The environment of a case: two registries on this machine or a file, and the result."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote

from cdk_ecrpublic.sandbox.images import build_image
from tests.support.upstream import UpstreamRegistry, upstream_registry
from tests.support.web_server import send

USER, PASSWORD = "me", "s3cret"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
INDEX = "application/vnd.oci.image.index.v1+json"
IMAGE = build_image({"etc/text": b"an image"}, platforms=("linux/amd64", "linux/arm64"))

SCOPE = "scope=repository:team/app:pull"
READ, REFUSED, NONE = "read", "refused", "none"


@dataclass
class Stage:
    """
    Two registries, the first of which receives the requests, and a folder for files.

    Attributes:
        archive: The file to publish instead, if there is one.
        signatures: Digests of the referrers of the image.
    """

    registry: UpstreamRegistry
    other: UpstreamRegistry
    folder: Path
    archive: Path | None = None
    signatures: list[str] = field(default_factory=list)

    @property
    def reference(self) -> str:
        return f"{self.registry.host}/team/app:1"

    def write(self, content: bytes) -> None:
        """Write a file."""
        self.archive = self.folder / "image.tar"
        self.archive.write_bytes(content)

    @property
    def leaked(self) -> bool:
        """Whether the other host received the password or the token of the first host."""
        secrets = {BASIC, "Bearer t"}
        return any(each.authorization in secrets for each in self.other.server.asked)


@dataclass(frozen=True, kw_only=True)
class Case:
    """
    A row of the table.

    Attributes:
        name: The name on the page.
        arrange: Prepares the registries or the file.
        login: Whether the registry has credentials.
        lists: Whether referrers are listed, instead of reading the image.
        secret: Further fields of our secret; ``{other}`` stands for the other host.
        reason: Why ours differs from all others, if it does.
    """

    name: str
    arrange: Callable[[Stage], None]
    login: bool = False
    lists: bool = False
    secret: str = ""
    reason: str = ""


@dataclass
class Guard:
    """
    Requires a token for all reads.

    Attributes:
        challenge: What the registry asks for; ``{url}`` and ``{other}`` are the two hosts.
        hidden: The status of a response without a token.
        open_to_all: Whether an anonymous token is enough.
        token: The token that it issues.
        takes_get: Whether the token endpoint accepts queries, and not only forms.
    """

    stage: Stage
    challenge: str
    hidden: int = 401
    open_to_all: bool = False
    token: str = "t"
    takes_get: bool = True

    def __call__(self, request: BaseHTTPRequestHandler) -> bool:
        if request.path.partition("?")[0] in {"/token", "/other"}:
            self.give_token(request)
            return True
        if request.headers.get("Authorization") in {f"Bearer {self.token}", BASIC}:
            return False
        if self.hidden == 401 or request.path == "/v2/":
            urls = {"url": self.stage.registry.url, "other": self.stage.other.url}
            headers = {"WWW_Authenticate": self.challenge.format(**urls)}
            send(request, 401, b"{}", "application/json", **headers)
        else:
            send(request, self.hidden, b"{}", "application/json")
        return True

    def give_token(self, request: BaseHTTPRequestHandler) -> None:
        """Issue a token if the password and, if required, the requested repository are right."""
        asked = unquote(request.path.partition("?")[2])
        if request.command == "POST":
            asked = unquote(self.stage.registry.server.asked[-1].form)
        elif not self.takes_get:
            send(request, 405, b"{}", "application/json")
            return
        is_login = request.headers.get("Authorization") == BASIC or {f"username={USER}", f"password={PASSWORD}"} <= set(
            asked.split("&")
        )
        good = (self.open_to_all or is_login) and SCOPE in asked and "?" not in asked
        body = json.dumps({"token": self.token, "access_token": self.token} if good else {}).encode()
        send(request, 200 if good else 401, body, "application/json")


@contextmanager
def staged(case: Case, folder: Path) -> Iterator[Stage]:
    """Run the environment of a case."""
    with upstream_registry() as registry, upstream_registry() as other:
        stage = Stage(registry, other, folder)
        case.arrange(stage)
        yield stage

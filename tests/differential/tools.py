"""The commands of each tool, and the requests to our handler, for a case."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from lambda_handler.cfn import Event
from lambda_handler.cfn.event import RequestType
from lambda_handler.clock import Deadline
from lambda_handler.entrypoint import Adapters, Clients
from lambda_handler.errors import ImageError
from lambda_handler.log import Log
from lambda_handler.resources.public_image import PublicImageResource
from lambda_handler.retry import Retry
from tests.differential.stage import NONE, PASSWORD, READ, REFUSED, USER, Case, Stage
from tests.protocol.cloudformation import STACK_ID
from tests.support.clock import SteppingClock
from tests.support.web_server import WebServer, send, web_server

SECONDS = 60
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:upstream-a1b2c3"
LEAK = "read, password sent there"

Outcome = Callable[[Case, Stage], str]


def environment(stage: Stage) -> Mapping[str, str]:
    """Return environment variables that keep the configuration of every tool in the folder of the case."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "REGCTL_"))}
    return {**kept, "HOME": str(stage.folder), "DOCKER_CONFIG": str(stage.folder), "XDG_RUNTIME_DIR": str(stage.folder)}


def configure(case: Case, stage: Stage) -> None:
    """Write the configuration of tools that have no options for it."""
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    auths = {stage.registry.host: {"auth": login}} if case.login else {}
    (stage.folder / "config.json").write_text(json.dumps({"auths": auths}))
    hosts = {host: {"hostname": host, "tls": "disabled"} for host in (stage.registry.host, stage.other.host)}
    if case.login:
        hosts[stage.registry.host] |= {"user": USER, "pass": PASSWORD}
    (stage.folder / ".regctl").mkdir(exist_ok=True)
    (stage.folder / ".regctl" / "config.json").write_text(json.dumps({"hosts": hosts}))


def run(stage: Stage, *command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, env=environment(stage), capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", "it took too long")


def outcome(case: Case, stage: Stage, command: list[str] | None) -> str:
    """Run a tool, and return its result, which is ``none`` if it has no command for that."""
    if command is None:
        return NONE
    configure(case, stage)
    done = run(stage, *command)
    if done.returncode:
        return REFUSED
    if case.lists:
        return f"{sum(digest in done.stdout for digest in stage.signatures)} listed"
    return LEAK if stage.leaked else READ


def crane(case: Case, stage: Stage) -> str:
    out = str(stage.folder / "crane")
    if case.lists or (stage.archive and not _is_docker_save(stage)):
        return NONE
    if stage.archive:
        return outcome(case, stage, ["crane", "validate", "--tarball", str(stage.archive)])
    return outcome(case, stage, ["crane", "pull", "--format", "oci", stage.reference, out])


def skopeo(case: Case, stage: Stage) -> str:
    out = f"oci:{stage.folder / 'skopeo'}:1"
    copy = ["skopeo", "copy", "--all", "--insecure-policy"]
    if case.lists:
        return NONE
    if stage.archive:
        kind = "docker-archive" if _is_docker_save(stage) else "oci-archive"
        return outcome(case, stage, [*copy, f"{kind}:{stage.archive}", out])
    login = ["--src-creds", f"{USER}:{PASSWORD}"] if case.login else []
    return outcome(case, stage, [*copy, "--src-tls-verify=false", *login, f"docker://{stage.reference}", out])


def regctl(case: Case, stage: Stage) -> str:
    out = f"ocidir://{stage.folder / 'regctl'}:1"
    if case.lists:
        command = ["regctl", "artifact", "list", stage.reference, "--format", "{{json .}}"]
        return outcome(case, stage, command)
    if stage.archive:
        return outcome(case, stage, ["regctl", "image", "import", out, str(stage.archive)])
    return outcome(case, stage, ["regctl", "image", "copy", stage.reference, out])


def oras(case: Case, stage: Stage) -> str:
    out = ["--to-oci-layout", f"{stage.folder / 'oras'}:1"]
    if case.lists:
        command = ["oras", "discover", "--plain-http", "--format", "json", stage.reference]
        return outcome(case, stage, command)
    if stage.archive:
        if _is_docker_save(stage):
            return NONE
        return outcome(case, stage, ["oras", "copy", "--from-oci-layout", f"{stage.archive}:1.4", *out])
    login = ["--from-username", USER, "--from-password", PASSWORD] if case.login else []
    return outcome(case, stage, ["oras", "copy", "--from-plain-http", *login, stage.reference, *out])


PEERS: Mapping[str, Outcome] = {"crane": crane, "skopeo": skopeo, "regctl": regctl, "oras": oras}


def missing() -> list[str]:
    """Return which tools are not installed."""
    return [name for name in PEERS if shutil.which(name) is None]


def _is_docker_save(stage: Stage) -> bool:
    return (
        stage.archive is not None
        and b"oci-layout" not in stage.archive.read_bytes()[:1024]
        and (b"manifest.json" in stage.archive.read_bytes())
    )


@dataclass
class Handler:
    """
    Our handler, which publishes into ``acme/agent`` of a sandbox.

    Attributes:
        uri: The URI of that repository.
        secrets: A Secrets Manager with one secret, and an S3 with one object.
    """

    uri: str
    secrets: WebServer
    s3: WebServer

    def __call__(self, case: Case, stage: Stage) -> str:
        self.secrets.answer = lambda request: _tell(request, _secret(case, stage))
        self.s3.answer = lambda request: _give(request, stage.archive.read_bytes() if stage.archive else b"")
        log = io.StringIO()
        try:
            with contextlib.redirect_stdout(log):
                self._publish(case, stage)
        except ImageError as error:
            return f"{REFUSED}: `{error.code}`"
        if case.lists:
            return f"{self._referrers(log.getvalue())} listed"
        return (LEAK if stage.leaked and not case.secret else READ) + (
            " in part" if "left out" in log.getvalue() else ""
        )

    def _publish(self, case: Case, stage: Stage) -> None:
        clock = SteppingClock()
        retry = Retry(Deadline.after(600, clock), Log())
        image = {"Reference": stage.reference, **({"CredentialsSecretArn": SECRET} if case.login else {})}
        source = {"Archive": {"Bucket": "archives", "Key": "image.tar"}} if stage.archive else {"Image": image}
        properties = {"RepositoryName": "acme/agent", "ImageTags": ["1"], "Source": source}
        if case.lists:
            properties["IncludeReferrers"] = "true"
        event = Event(
            request_type=RequestType.CREATE, response_url="", sent=clock.wall(), stack_id=STACK_ID, request_id="1",
            logical_resource_id="Image", resource_type="Custom::ECRPublicImage", properties=properties,
        )  # fmt: skip
        clients = Clients()
        try:
            resource = PublicImageResource(lambda declared: Adapters(declared, clients, retry, retry), Log())
            resource.create(event)
        finally:
            clients.pool.clear()

    @staticmethod
    def _referrers(log: str) -> int:
        return log.count('"referrer put: ')


def _secret(case: Case, stage: Stage) -> str:
    more = f", {case.secret.replace('{other}', stage.other.host)}" if case.secret else ""
    return f'{{"username": "{USER}", "password": "{PASSWORD}", "registry": "{stage.registry.host}"{more}}}'


def _tell(request: BaseHTTPRequestHandler, secret: str) -> None:
    request.rfile.read(int(request.headers["Content-Length"]))
    send(request, 200, json.dumps({"SecretString": secret}).encode(), "application/x-amz-json-1.1")


def _give(request: BaseHTTPRequestHandler, content: bytes) -> None:
    """Send an object, or a part of it, as S3 does."""
    headers = {"ETag": '"1"', "Accept_Ranges": "bytes"}
    if "Range" not in request.headers:
        send(request, 200, content, "application/x-tar", **headers)
        return
    first, _, last = request.headers["Range"].removeprefix("bytes=").partition("-")
    if int(first) >= len(content):
        send(request, 416, b"<Error><Code>InvalidRange</Code></Error>", "application/xml")
        return
    part = content[int(first) : int(last) + 1 if last else None]
    headers["Content_Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
    send(request, 206, part, "application/x-tar", **headers)


@contextlib.contextmanager
def handler(uri: str) -> Iterator[Handler]:
    """Start the services that the handler needs in addition to the sandbox, and set the environment."""
    with web_server() as secrets, web_server() as s3:
        os.environ["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = secrets.url
        os.environ["AWS_ENDPOINT_URL_S3"] = s3.url
        yield Handler(uri, secrets, s3)


def empty(folder: Path) -> Path:
    """Create a separate folder for each tool."""
    folder.mkdir(parents=True)
    return folder

"""
The rest of AWS: ministack, in the same process.

Only the modules of this package use private parts of ministack, which is pinned to 1.5.33.
ministack reads the environment when it is imported, so this module sets the environment
first, which requires a separate process.
"""

from __future__ import annotations

import base64
import http.server
import json
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from ..front.gateway import Behind
from ..front.web_pages import Head, refusal
from ..tokens import basic_credentials
from ..world import World
from .cloudformation import CREATE_ONLY, RESOURCE_TYPE, ProvisioningError, PublicRepositories, physical_name

KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "SYSTEMROOT")
"""The variables of the user's environment that the server and its Lambda functions get, as few as in Lambda."""

PRIVATE_LOGIN = base64.b64encode(b"AWS:ministack-auth-token").decode()
"""The fixed password of its GetAuthorizationToken, in ``services/ecr.py``."""


def prepare_environment(
    variables: Mapping[str, str], *, port: int, account: str, folder: Path, auth: bool = False
) -> None:
    """
    Replace the environment of this process with one for ministack.

    Args:
        variables: The variables that clients of the sandbox need, including functions.
        folder: The folder for everything that is written to disk.
        auth: Whether IAM policies are evaluated.
    """
    # Python reads TMPDIR only once, and may already have done so.
    tempfile.tempdir = str(folder)
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    os.environ.clear()
    os.environ.update(kept, **variables)
    os.environ.update(
        TMPDIR=str(folder),
        STATE_DIR=str(folder / "state"),
        S3_DATA_DIR=str(folder / "s3"),
        GATEWAY_PORT=str(port),
        MINISTACK_ACCOUNT_ID=account,
        MINISTACK_REGION="us-east-1",
        LAMBDA_EXECUTOR="local",
        AUTH=str(auth).lower(),
        # Disable listeners and daemons that are not needed.
        SFTP_ENABLED="0",
        IOT_MTLS_ENABLED="0",
        DOCKER_HOST=f"unix://{folder / 'no-docker.sock'}",
        PYTHONDONTWRITEBYTECODE="1",
    )


def send_logs_to(file: Path | None) -> None:
    """Write the log to a file, or discard it; ministack would write it to the terminal."""
    logging.basicConfig(
        filename=file or os.devnull,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s [%(name)s] %(message)s",
        force=True,
    )


def load(world: World) -> Behind:
    """
    Import ministack and connect it to the store.

    Raises:
        ImportError: ministack is not installed.
    """
    from ministack.app import AUTH, app  # noqa: PLC0415 - reads the environment
    from ministack.core import lambda_runtime, responses  # noqa: PLC0415

    from . import event_bus, iam  # noqa: PLC0415 - imports the evaluator
    from .exports import keep_imported_exports  # noqa: PLC0415
    from .image_scans import add_image_scans  # noqa: PLC0415
    from .private_ecr import PrivateEcr  # noqa: PLC0415
    from .signing import sign_in_private_ecr, sign_payloads  # noqa: PLC0415
    from .stack_parameters import tell_names_of_parameters  # noqa: PLC0415

    _register(_Provisioner(PublicRepositories(world.store), responses))
    # The keys of an assumed role belong to its account: `cdk deploy` assumes the bootstrap roles.
    world.account_of = iam.account_of
    world.emit = event_bus.emit
    world.private_repository = _private_repository
    world.is_private_login = PRIVATE_LOGIN.__eq__
    _guard_runtime_api()
    _miss_private_images()
    _archive_private_images()
    add_image_scans(world.scans)
    sign_in_private_ecr()
    sign_payloads()
    tell_names_of_parameters()
    keep_imported_exports()
    _change_private_login(lambda item: {**item, "proxyEndpoint": world.url})
    if AUTH:
        _evaluate_policies(world)
        app = PrivateEcr(world, iam.as_if_over_tls(app))
    return Behind(app, lambda_runtime.reset)


def _guard_runtime_api() -> None:
    """
    Refuse web pages on the only other port that ministack opens.

    A function with a ``bootstrap`` (``provided.al2023``: Go, Rust) gets its events
    there. A page could take an event away from it.
    """
    # Its handlers are nested classes, which use the base class when a function is first invoked.
    http.server.BaseHTTPRequestHandler = _GuardedHandler  # type: ignore[misc]


class _GuardedHandler(http.server.BaseHTTPRequestHandler):
    error_message_format = "%(explain)s"
    error_content_type = "text/plain; charset=utf-8"

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        why = refusal(Head(target=self.path, fields=self.headers.items(), port=self.connection.getsockname()[1]))
        if why:
            self.send_error(HTTPStatus.FORBIDDEN, explain=why)
        return why is None


def _evaluate_policies(world: World) -> None:
    """Evaluate policies for ECR Public, and issue passwords of private ECR that contain their owner."""
    from ministack.core.responses import get_account_id  # noqa: PLC0415

    from . import iam  # noqa: PLC0415

    iam.name_resources()
    world.authorize, world.authorize_login = iam.authorize, iam.authorize_login
    world.is_private_login = lambda encoded: world.tokens.find_private_password(f"Basic {encoded}") is not None

    def personal(item: dict[str, Any]) -> dict[str, Any]:
        password = world.tokens.private_password(iam.requesting_key(get_account_id()))
        return {**item, "authorizationToken": basic_credentials(password)}

    _change_private_login(personal)


def _change_private_login(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """
    Replace the response of GetAuthorizationToken of private ECR.

    ministack's response has an AWS host, which is not reachable here, and is the same for all callers.
    """
    from ministack.services import ecr  # noqa: PLC0415

    authorize = ecr._get_authorization_token  # noqa: SLF001

    def answer(data: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = authorize(data)
        data = json.loads(body)
        data["authorizationData"] = [change(item) for item in data.get("authorizationData", [])]
        return status, headers, json.dumps(data).encode()

    ecr._get_authorization_token = answer  # noqa: SLF001


def _miss_private_images() -> None:
    """Make DescribeImages fail for an image that does not exist, so that the cdk builds and pushes the image."""
    from ministack.core.responses import error_response_json  # noqa: PLC0415
    from ministack.services import ecr  # noqa: PLC0415

    describe = ecr._describe_images  # noqa: SLF001

    def answer(data: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = describe(data)
        asked, found = data.get("imageIds") or (), json.loads(body).get("imageDetails", ())
        if status == HTTPStatus.OK and len(found) < len(asked):
            message = f"The image does not exist within the repository with name '{data.get('repositoryName')}'"
            refusal: tuple[int, dict[str, str], bytes] = error_response_json("ImageNotFoundException", message, 400)
            return refusal
        return status, headers, body

    ecr._describe_images = answer  # noqa: SLF001


def _archive_private_images() -> None:
    """
    Implement UpdateImageStorageClass, which ministack does not support.

    The image is then described as ``ARCHIVED``, and cannot be pulled until it is
    ``STANDARD`` again. On AWS, restoring takes minutes; here it is immediate.
    """
    from ministack.core.responses import json_response  # noqa: PLC0415
    from ministack.services import ecr  # noqa: PLC0415

    describe, resolve, handle = ecr._describe_images, ecr._resolve_manifest, ecr.handle_request  # noqa: SLF001

    def find(name: str, reference: str) -> dict[str, Any]:
        image_id = {"imageDigest" if ":" in reference else "imageTag": reference}
        return ecr._find_image(name, image_id) or {}  # noqa: SLF001

    def described(data: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = describe(data)
        answer = json.loads(body)
        for detail in answer.get("imageDetails", ()):
            image = find(data["repositoryName"], detail["imageDigest"])
            detail["imageStatus"] = image.get("imageStatus", "ACTIVE")
        return status, headers, json.dumps(answer).encode()

    def resolved(name: str, reference: str) -> tuple[str | None, bytes | None, str | None]:
        if find(name, reference).get("imageStatus") == "ARCHIVED":
            return None, None, None
        manifest: tuple[str | None, bytes | None, str | None] = resolve(name, reference)
        return manifest

    async def handled(method: str, path: str, headers: dict[str, str], body: bytes, query: object) -> Any:  # noqa: ANN401
        if not headers.get("x-amz-target", "").endswith(".UpdateImageStorageClass"):
            return await handle(method, path, headers, body, query)
        data = json.loads(body)
        status, answer_headers, answer = ecr._describe_images({**data, "imageIds": [data["imageId"]]})  # noqa: SLF001
        if status != HTTPStatus.OK:
            return status, answer_headers, answer
        digest = json.loads(answer)["imageDetails"][0]["imageDigest"]
        image = find(data["repositoryName"], digest)
        image["imageStatus"] = "ARCHIVED" if data["targetStorageClass"] == "ARCHIVE" else "ACTIVE"
        names = {name: data[name] for name in ("repositoryName", "imageId")}
        return json_response({**names, "imageStatus": image["imageStatus"]})

    ecr._describe_images, ecr._resolve_manifest, ecr.handle_request = described, resolved, handled  # noqa: SLF001


def _private_repository(name: str) -> tuple[str, str] | None:
    from ministack.services import ecr  # noqa: PLC0415

    places = ecr._repositories.all_items()  # noqa: SLF001
    return next(((account, region) for (account, region, stored), _ in places if stored == name), None)


def _register(provisioner: _Provisioner) -> None:
    from ministack.services.cloudformation import provisioners  # noqa: PLC0415

    provisioners._RESOURCE_HANDLERS[RESOURCE_TYPE] = {  # noqa: SLF001
        "create": provisioner.create,
        "update": provisioner.update,
        "delete": provisioner.delete,
    }
    # A change of these properties is a replacement, in change sets and in updates.
    provisioners._REPLACING_PROPERTIES[RESOURCE_TYPE] = CREATE_ONLY  # noqa: SLF001
    provisioners._CUSTOM_NAME_REPLACEMENT[RESOURCE_TYPE] = {"name": CREATE_ONLY[0]}  # noqa: SLF001


@dataclass(frozen=True, slots=True)
class _Provisioner:
    """A provisioner as ministack calls it: positional arguments; returns (physical id, attributes)."""

    repositories: PublicRepositories
    responses: Any

    def create(self, logical_id: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, str]]:
        region = self.responses.get_region()
        if region != "us-east-1":
            message = f"{RESOURCE_TYPE} exists only in us-east-1, and this stack is in {region}"
            raise ProvisioningError(message)
        name = properties.get("RepositoryName") or physical_name(stack, logical_id)
        with self.repositories.store.lock:
            repository = self.repositories.create(self._account, name, properties)
        return name, {"Arn": repository.arn}

    def update(self, name: str, old: dict[str, Any], new: dict[str, Any], _stack: str) -> tuple[str, dict[str, str]]:
        with self.repositories.store.lock:
            repository = self.repositories.update(self._account, name, old, new)
        return name, {"Arn": repository.arn}

    def delete(self, name: str, _properties: dict[str, Any]) -> None:
        with self.repositories.store.lock:
            self.repositories.delete(self._account, name)

    @property
    def _account(self) -> str:
        account: str = self.responses.get_account_id()
        return account

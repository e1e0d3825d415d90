"""
The rest of AWS: ministack, behind us in the same process.

All that we touch of its private parts is here and in ``iam``; it is pinned to
1.5.33. It reads the environment when it is imported, so this module sets the
environment first, and only a process of its own can do that.
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
"""What the server, and so every Lambda function, gets of the user's environment; Lambda's own is as empty."""

PRIVATE_LOGIN = base64.b64encode(b"AWS:ministack-auth-token").decode()
"""``services/ecr.py``: what its GetAuthorizationToken always answers."""


def prepare_environment(
    variables: Mapping[str, str], *, port: int, account: str, folder: Path, auth: bool = False
) -> None:
    """
    Replace this process's environment by one that ministack starts right from.

    Args:
        variables: What clients of the sandbox need; functions are clients too.
        folder: For everything that is written to disk.
        auth: Whether IAM policies are evaluated.
    """
    # Python looks at TMPDIR once, and may have done so.
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
        # Listeners and daemons that nobody asked for.
        SFTP_ENABLED="0",
        IOT_MTLS_ENABLED="0",
        DOCKER_HOST=f"unix://{folder / 'no-docker.sock'}",
        PYTHONDONTWRITEBYTECODE="1",
    )


def send_logs_to(file: Path | None) -> None:
    """Send the log to a file, or nowhere; ministack would write it to the terminal."""
    logging.basicConfig(
        filename=file or os.devnull,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s [%(name)s] %(message)s",
        force=True,
    )


def load(world: World) -> Behind:
    """
    Import ministack and tie it to the store.

    Raises:
        ImportError: It is not installed.
    """
    from ministack.app import AUTH, app  # noqa: PLC0415 - reads the environment
    from ministack.core import lambda_runtime, responses  # noqa: PLC0415

    from . import iam  # noqa: PLC0415 - imports the evaluator
    from .private_ecr import PrivateEcr  # noqa: PLC0415
    from .stack_parameters import tell_names_of_parameters  # noqa: PLC0415

    _register(_Provisioner(PublicRepositories(world.store), responses))
    # An assumed role's keys stand for its account: `cdk deploy` assumes the bootstrap's roles.
    world.account_of = iam.account_of
    world.private_repository = _private_repository
    world.is_private_login = PRIVATE_LOGIN.__eq__
    _guard_runtime_api()
    _miss_private_images()
    _archive_private_images()
    tell_names_of_parameters()
    _change_private_login(lambda item: {**item, "proxyEndpoint": world.url})
    if AUTH:
        _evaluate_policies(world)
        app = PrivateEcr(world, iam.as_if_over_tls(app))
    return Behind(app, lambda_runtime.reset)


def _guard_runtime_api() -> None:
    """
    Keep web pages out of the only other port that ministack opens.

    A function with a ``bootstrap`` (``provided.al2023``: Go, Rust) fetches its
    events there and answers them. A page could take an event away from it.
    """
    # Its handlers are classes inside functions: they take the base class when a function is first invoked.
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
    """Let policies decide about what is ours, and let each password of private ECR say whose it is."""
    from ministack.core.responses import get_account_id  # noqa: PLC0415

    from . import iam  # noqa: PLC0415

    iam.name_paths_of_parameters()
    world.authorize, world.authorize_login = iam.authorize, iam.authorize_login
    world.is_private_login = lambda encoded: world.tokens.find_private_password(f"Basic {encoded}") is not None

    def personal(item: dict[str, Any]) -> dict[str, Any]:
        password = world.tokens.private_password(iam.requesting_key(get_account_id()))
        return {**item, "authorizationToken": basic_credentials(password)}

    _change_private_login(personal)


def _change_private_login(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """
    Change what GetAuthorizationToken of private ECR answers.

    Its own answer names a host of AWS, which nobody here can reach, and is the same for everybody.
    """
    from ministack.services import ecr  # noqa: PLC0415

    authorize = ecr._get_authorization_token  # noqa: SLF001

    def answer(data: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = authorize(data)
        told = json.loads(body)
        told["authorizationData"] = [change(item) for item in told.get("authorizationData", [])]
        return status, headers, json.dumps(told).encode()

    ecr._get_authorization_token = answer  # noqa: SLF001


def _miss_private_images() -> None:
    """Let DescribeImages refuse an image that does not exist: by that the cdk knows which images to build and push."""
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
    Let UpdateImageStorageClass archive an image, which ministack does not know.

    It is described as ``ARCHIVED`` then, and cannot be pulled until it is
    ``STANDARD`` again. On AWS restoring takes minutes; here it is done at once.
    """
    from ministack.core.responses import json_response  # noqa: PLC0415
    from ministack.services import ecr  # noqa: PLC0415

    describe, resolve, handle = ecr._describe_images, ecr._resolve_manifest, ecr.handle_request  # noqa: SLF001

    def find(name: str, reference: str) -> dict[str, Any]:
        image_id = {"imageDigest" if ":" in reference else "imageTag": reference}
        return ecr._find_image(name, image_id) or {}  # noqa: SLF001

    def described(data: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = describe(data)
        told = json.loads(body)
        for detail in told.get("imageDetails", ()):
            image = find(data["repositoryName"], detail["imageDigest"])
            detail["imageStatus"] = image.get("imageStatus", "ACTIVE")
        return status, headers, json.dumps(told).encode()

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
    # A change of these is a replacement, in change sets and in updates.
    provisioners._REPLACING_PROPERTIES[RESOURCE_TYPE] = CREATE_ONLY  # noqa: SLF001
    provisioners._CUSTOM_NAME_REPLACEMENT[RESOURCE_TYPE] = {"name": CREATE_ONLY[0]}  # noqa: SLF001


@dataclass(frozen=True, slots=True)
class _Provisioner:
    """ministack's form of a provisioner: positional arguments, (physical id, attributes) as the answer."""

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

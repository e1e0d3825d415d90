"""
The entry point of the Lambda function, which connects adapters and use cases.

``lambda_handler.entrypoint.handler`` is part of the public contract.
"""

from __future__ import annotations

import functools
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import botocore.config
import botocore.session
import urllib3
from botocore import xform_name
from botocore.exceptions import BotoCoreError

from . import cfn
from .aws.errcode import translated
from .aws.models import model_loader
from .clock import Clock, Deadline, SystemClock, wall_time
from .concurrency import MAX_CONNECTIONS
from .ecr_public import EcrPublicRepository, RepositoryLocation, find_repository
from .errors import TooLateError
from .library_logs import withhold_library_logs
from .log import Log
from .oci import Repository
from .publish.ports import PUT_SECONDS, ObjectReader, SigningServices
from .registry import RegistryClient, RegistryRepository, Transport
from .registry.logins import ECR_PUBLIC_REGION, Login, Logins
from .resources.public_image import PublicImageResource
from .retry import Retry
from .spec import Declaration

if TYPE_CHECKING:
    from .aws.parameters import Parameters
    from .aws.scans import ImageScans
    from .aws.stack import StackHistory

T = TypeVar("T")

withhold_library_logs()

RESPONSE_RESERVE_SECONDS = 15.0
"""Reserved for sending the response: one attempt of 10 s and a retry."""

UNDO_RESERVE_SECONDS = 15.0
"""Reserved for moving tags back if time runs out: the longest call, and time for more."""

LAST_ATTEMPT_SECONDS = 1.0
"""The time for one attempt to send the response, which is made however little time is left."""

CLOCK_SKEW_SECONDS = 5.0
"""The clock of CloudFormation may differ from ours, and its timeout starts before it signs the request."""

RECORD_KNOWN_SECONDS = 3.0
"""
A record is written only if CloudFormation waited so many seconds ago.

What is written after the undo of its request stays, and would mislead the next undo.
"""

CACHED_RESPONSES_MAX = 200
"""How many responses a warm function keeps, to send them again for repeated requests."""


class Context(Protocol):
    """The part of Lambda's context object that is used."""

    @property
    def aws_request_id(self) -> str:
        """The id of this invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda stops the function."""


class Clients:
    """
    The state that a warm function keeps between invocations: connections, logins and locations of repositories.

    Attributes:
        locations: The locations by declared registry (None for our own) and name.
        responses: The sent responses by request id, the latest last.
    """

    def __init__(self) -> None:
        self.pool = urllib3.PoolManager(maxsize=MAX_CONNECTIONS)
        self.logins = Logins(self._call)
        self.locations: dict[tuple[str | None, str], RepositoryLocation] = {}
        self.responses: OrderedDict[str, bytes] = OrderedDict()
        self._session = botocore.session.get_session()
        self._clients: dict[tuple[str, str | None], Any] = {}
        # Threads may share a client, but creating one is not thread-safe.
        self._making = threading.Lock()

    def get(self, service: str, region: str | None = None) -> Any:  # noqa: ANN401 - botocore creates clients at run time
        """Return the client for a service, by default in the Region of the function."""
        with self._making:
            if (service, region) not in self._clients:
                self._clients[service, region] = self._make(service, region)
            return self._clients[service, region]

    def _make(self, service: str, region: str | None) -> Any:  # noqa: ANN401
        config = botocore.config.Config(
            connect_timeout=5,
            # Less than the reserve for moving tags back, so that a call that hangs leaves time for it.
            read_timeout=10,
            max_pool_connections=MAX_CONNECTIONS,
            # retry.py is the only layer of retries.
            retries={"total_max_attempts": 1, "mode": "standard"},
            # Botocore's own one is put together for each request, which takes a tenth of its CPU time.
            user_agent=f"cdk-ecrpublic Botocore/{botocore.__version__}",
        )
        self._session.register_component("data_loader", model_loader(self._session.get_config_variable("data_path")))
        return self._session.create_client(service, region_name=region, config=config)

    def _call(
        self, service: str, region: str, operation: str, parameters: Mapping[str, object], read: Callable[[Any], T]
    ) -> T:
        with translated(f"{service}:{operation}"):
            return read(getattr(self.get(service, region), xform_name(operation))(**parameters))


@functools.cache
def _clients() -> Clients:
    return Clients()


def _prepare() -> None:
    """Create the client that every request needs while the runtime initializes: then the function has a whole core."""
    # If this fails, the first request reports it.
    with suppress(BotoCoreError, ValueError):
        _clients().get("ecr-public", ECR_PUBLIC_REGION)


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    _prepare()


def handler(event: Mapping[str, object], context: Context) -> None:
    """
    Handle one request of CloudFormation, and send the response.

    Raises:
        ProtocolError: The event is not a custom resource request.
        DeliveryError: The response was not accepted. Lambda invokes the
            function again, which is safe.
    """
    serve(event, context, _clients(), SystemClock())


def serve(event: Mapping[str, object], context: Context, clients: Clients, clock: Clock) -> None:
    """Handle one request, with the clients and the clock as arguments."""
    now = wall_time(clock)
    request = cfn.Event.parse(event, received=now)
    log = Log().bind(
        requestType=request.request_type.value,
        stackId=request.stack_id,
        logicalResourceId=request.logical_resource_id,
        awsRequestId=context.aws_request_id,
    )
    waited = now - request.sent
    left = request.service_timeout - waited - CLOCK_SKEW_SECONDS
    seconds = min(context.get_remaining_time_in_millis() / 1000, left)
    end = Deadline.after(max(seconds, LAST_ATTEMPT_SECONDS), clock)
    body = clients.responses.get(request.request_id)
    if body is None:
        response = _respond(request, clients, log, end)
        body = response.encode(request)
        clients.responses[request.request_id] = body
        if len(clients.responses) > CACHED_RESPONSES_MAX:
            clients.responses.popitem(last=False)
    cfn.deliver(request.response_url, body, clients.pool, Retry(end, log))
    log.info(f"sent the response {json.loads(body)['Status']}")


def _respond(request: cfn.Event, clients: Clients, log: Log, end: Deadline) -> cfn.Response:
    deadline = Deadline(end.clock, end.expires - RESPONSE_RESERVE_SECONDS)
    work = Deadline(end.clock, deadline.expires - UNDO_RESERVE_SECONDS)
    waiting = cfn.Waiting(request, Retry(work, log), functools.partial(_history, clients, request.stack_id))
    try:
        waiting.check()
    except TooLateError as error:
        return cfn.refuse(request, error, log)
    publishes = request.request_type is not cfn.RequestType.DELETE
    resource = PublicImageResource(
        connect=lambda declaration: Adapters(
            declaration,
            clients,
            Retry(work, log),
            Retry(deadline, log),
            publishes=publishes,
            # A Delete must not stop halfway.
            check=waiting.check if publishes else _no_check,
        ),
        log=log,
    )
    response = cfn.respond(request, resource, deadline, log)
    if response.status is cfn.Status.FAILED:
        # The cause may be a cached location, because the alias of a registry can change, or a cached token.
        clients.locations.clear()
        clients.logins.clear()
    return response


def _no_check(_known_seconds: float = 0.0) -> None:
    """Allow everything."""


def _history(clients: Clients, stack_id: str, retry: Retry) -> StackHistory:
    from .aws.stack import StackHistory  # noqa: PLC0415 - a cold start compiles what it imports

    return StackHistory(clients.get("cloudformation"), stack_id, retry)


class SourceAdapters:
    """
    The ports for reading sources.

    Args:
        publishes: Whether the image is published, and not only looked at.
    """

    def __init__(self, declaration: Declaration, clients: Clients, retry: Retry, *, publishes: bool = False) -> None:
        self._declaration, self._clients, self._retry = declaration, clients, retry
        self._needs_login = publishes and declaration.source.needs_login
        self._transport = Transport(clients.pool, retry.deadline)
        self._with_secrets: dict[tuple[Repository, str], Login] = {}
        # The other half of the time is for copying layers.
        self._until = retry.deadline.expires - retry.deadline.remaining / 2

    @functools.cached_property
    def objects(self) -> ObjectReader:
        """Objects in S3."""
        from .aws.objects import S3Objects  # noqa: PLC0415 - a cold start compiles what it imports

        return S3Objects(lambda: self._clients.get("s3"), self._retry)

    @functools.cached_property
    def scans(self) -> ImageScans:
        """The scan findings of images in private ECR."""
        from .aws.scans import ImageScans  # noqa: PLC0415

        return ImageScans(lambda region: self._clients.get("ecr", region), self._retry, self._until)

    @functools.cached_property
    def signing(self) -> SigningServices:
        """The services of AWS that sign and verify."""
        from .aws.signing import Signing  # noqa: PLC0415

        return Signing(self._clients.get, self._retry, self._until)

    @property
    def now(self) -> float:
        """The current time, in seconds since the epoch."""
        return wall_time(self._retry.deadline.clock)

    @functools.cached_property
    def destination(self) -> EcrPublicRepository:
        """The repository to publish to, located when it is first needed."""
        return self.find()

    def find(self) -> EcrPublicRepository:
        """Locate the repository to publish to, unless a warm function has its location already."""
        client, declared = self._clients.get("ecr-public", ECR_PUBLIC_REGION), self._declaration
        named = (declared.registry_id, declared.repository_name)
        location = self._clients.locations.get(named)
        if location is None:
            with self._clients.logins.asking_ahead() if self._needs_login else nullcontext():
                location = find_repository(client, *named, self._retry)
        if location.is_own:
            self._clients.locations[named] = location
        return location.open(client, retry=self._retry, registry=self.registry_api(location.repository))

    def remote(self, repository: Repository, credentials_secret_arn: str) -> RegistryRepository:
        """Open a repository in any registry; ECR Public is opened with the login of the function."""
        is_here = repository.host.canonical == self.destination.repository.host.canonical
        if is_here and not credentials_secret_arn:
            return self.registry_api(repository)
        known = self._with_secrets.get((repository, credentials_secret_arn))
        login = known or self._log_in(repository, credentials_secret_arn)
        if credentials_secret_arn:
            self._with_secrets[repository, credentials_secret_arn] = login
        return replace(self._open(login), declared=repository)

    def _log_in(self, repository: Repository, credentials_secret_arn: str) -> Login:
        return self._retry.call(
            f"logging in to {repository.host}",
            lambda: self._clients.logins.for_registry(repository, credentials_secret_arn),
            retry_access_denied=True,
        )

    def registry_api(self, repository: Repository) -> RegistryRepository:
        """Open a repository of ECR Public in the registry API."""
        return self._open(self._clients.logins.ecr_public(repository))

    def _open(self, login: Login) -> RegistryRepository:
        return RegistryRepository(RegistryClient(self._transport, login.auth), login.repository, self._retry)


class Adapters(SourceAdapters):
    """
    The ports of one invocation.

    Args:
        retry: Retries until the time for the work is over.
        undo: Retries until the time for undoing the work is over.
        publishes: Whether the request is a Create or an Update.
        check: Called before each attempt to write or delete a record, to put a tag, or to remove anything. An
            error prevents it. The argument is the age of what it may know, in seconds.
    """

    def __init__(
        self,
        declaration: Declaration,
        clients: Clients,
        retry: Retry,
        undo: Retry,
        *,
        publishes: bool = True,
        check: Callable[..., None] = _no_check,
    ) -> None:
        super().__init__(declaration, clients, retry, publishes=publishes)
        # A resource that is deleted was created with the same permissions, so they cannot be new.
        may_wait = publishes
        self._undo, self._may_wait, self._check = undo, may_wait, check

    @functools.cached_property
    def destination(self) -> EcrPublicRepository:
        """The repository to publish to, located when it is first needed."""
        return replace(self.find(), before_change=self._check)

    @functools.cached_property
    def parameters(self) -> Parameters:
        """The parameters in us-east-1."""
        return self._parameters(ECR_PUBLIC_REGION, self._retry)

    @functools.cached_property
    def undoing_parameters(self) -> Parameters:
        """The same, with the time that is reserved for undoing."""
        return self._parameters(ECR_PUBLIC_REGION, self._undo)

    @functools.cached_property
    def first_parameters(self) -> Parameters:
        """The parameters in the Region of the function, where version 0.1 stored records."""
        return self._parameters(None, self._retry)

    def _parameters(self, region: str | None, retry: Retry) -> Parameters:
        from .aws.parameters import Parameters  # noqa: PLC0415

        check = functools.partial(self._check, RECORD_KNOWN_SECONDS)
        return Parameters(lambda: self._clients.get("ssm", region), retry, self._may_wait, check)

    @property
    def undoing(self) -> EcrPublicRepository:
        """The same repository, with the time that is reserved for undoing."""
        adapters = SourceAdapters(self._declaration, self._clients, self._undo)
        registry = adapters.registry_api(self.destination.repository)
        return replace(self.destination, retry=self._undo, registry=registry)

    @property
    def restoring(self) -> EcrPublicRepository:
        """The same, also for a request that is too late: what must stay is put back."""
        return replace(self.undoing, before_change=_no_check)

    def history(self, stack_id: str) -> StackHistory:
        """Return the history of a stack."""
        return _history(self._clients, stack_id, self._retry)

    def settle(self) -> None:
        """Wait until reads show what others have just put."""
        deadline = self._retry.deadline
        deadline.clock.sleep(min(PUT_SECONDS, deadline.remaining / 2))

"""
The Lambda's entry point, and the only location where adapters meet use cases.

``lambda_handler.entrypoint.handler`` is part of the public contract.
"""

from __future__ import annotations

import functools
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import botocore.config
import botocore.session
import urllib3
from botocore import xform_name

from . import cfn
from .aws import Parameters, S3Objects, StackHistory
from .aws.errcode import translated
from .clock import Clock, Deadline, SystemClock, wall_time
from .ecr_public import Content, EcrPublicRepository, RepositoryLocation, find_repository
from .errors import ImageError, TooLateError
from .library_logs import withhold_library_logs
from .log import Log
from .oci import Descriptor, Digest, Manifest, Repository
from .publish.ports import ObjectReader
from .registry import RegistryClient, RegistryRepository, Transport, Uploads
from .registry.logins import ECR_PUBLIC_REGION, Login, Logins
from .resources.public_image import PublicImageResource
from .retry import Retry
from .spec import Declaration

T = TypeVar("T")

withhold_library_logs()

RESPONSE_RESERVE_SECONDS = 15.0
"""Kept back from the work, for handing over the response: one attempt of 10 s and a retry."""

UNDO_RESERVE_SECONDS = 15.0
"""Kept back from the work, for pointing tags back when time runs out: the longest call, and time for others."""

LAST_ATTEMPT_SECONDS = 1.0
"""However little time is left, one attempt to answer is made."""

CLOCK_SKEW_SECONDS = 5.0
"""CloudFormation's clock is not ours, and begins before it signs the request."""

LATE_AFTER_SECONDS = 10.0
"""
A request that is older was queued, or is repeated: a cold start takes two or three seconds.

Then CloudFormation is asked whether it still waits for it.
"""

CACHED_RESPONSES_MAX = 200
"""So many of the last responses a warm function gives again to a request that is repeated."""


class Context(Protocol):
    """What we need of Lambda's context object."""

    @property
    def aws_request_id(self) -> str:
        """What Lambda calls this invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the function."""


class Clients:
    """
    What a warm function keeps from one invocation to the next: connections, logins, and where repositories are.

    Attributes:
        places: By registry (None is our own) and name, as declared.
        responses: What was answered, by the request's id, the latest last.
    """

    def __init__(self) -> None:
        self.pool = urllib3.PoolManager(maxsize=16)
        self.logins = Logins(self._call)
        self.locations: dict[tuple[str | None, str], RepositoryLocation] = {}
        self.responses: OrderedDict[str, bytes] = OrderedDict()
        self._session = botocore.session.get_session()
        self._clients: dict[tuple[str, str | None], Any] = {}
        # Threads may use a client together, but not make one.
        self._making = threading.Lock()

    def get(self, service: str, region: str | None = None) -> Any:  # noqa: ANN401 - botocore's clients are made at run time
        """Return the client of a service, by default in the function's own Region."""
        with self._making:
            if (service, region) not in self._clients:
                self._clients[service, region] = self._make(service, region)
            return self._clients[service, region]

    def _make(self, service: str, region: str | None) -> Any:  # noqa: ANN401
        config = botocore.config.Config(
            connect_timeout=5,
            # Half of what is kept back for an undo: a call that hangs leaves time for it.
            read_timeout=10,
            max_pool_connections=16,
            # The one layer of retries is retry.py.
            retries={"total_max_attempts": 1, "mode": "standard"},
            user_agent_extra="cdk-ecrpublic",
        )
        return self._session.create_client(service, region_name=region, config=config)

    def _call(
        self, service: str, region: str, operation: str, parameters: Mapping[str, object], read: Callable[[Any], T]
    ) -> T:
        with translated(f"{service}:{operation}"):
            return read(getattr(self.get(service, region), xform_name(operation))(**parameters))


@functools.cache
def _clients() -> Clients:
    return Clients()


def handler(event: Mapping[str, object], context: Context) -> None:
    """
    Serve one request of CloudFormation, and answer it.

    Raises:
        ProtocolError: The event is no request of CloudFormation.
        DeliveryError: The answer was not accepted; Lambda delivers the event
            again, which is harmless.
    """
    serve(event, context, _clients(), SystemClock())


def serve(event: Mapping[str, object], context: Context, clients: Clients, clock: Clock) -> None:
    """Serve one request, with the clients and the clock as arguments."""
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
        response = _respond(request, clients, log, end, waited)
        body = response.encode(request)
        clients.responses[request.request_id] = body
        if len(clients.responses) > CACHED_RESPONSES_MAX:
            clients.responses.popitem(last=False)
    cfn.deliver(request.response_url, body, clients.pool, Retry(end, log))
    log.info(f"answered {json.loads(body)['Status']}")


def _respond(request: cfn.Event, clients: Clients, log: Log, end: Deadline, waited: float) -> cfn.Response:
    deadline = Deadline(end.clock, end.expires - RESPONSE_RESERVE_SECONDS)
    work = Deadline(end.clock, deadline.expires - UNDO_RESERVE_SECONDS)
    if why := _too_late(request, clients, Retry(work, log), waited):
        return cfn.refuse(request, TooLateError(why), log)
    # What is deleted was created with the same permissions; one that is missing will not come.
    may_wait = request.request_type is not cfn.RequestType.DELETE
    resource = PublicImageResource(
        connect=lambda declaration: Adapters(
            declaration, clients, Retry(work, log), Retry(deadline, log), may_wait=may_wait
        ),
        log=log,
    )
    response = cfn.respond(request, resource, deadline, log)
    if response.status is cfn.Status.FAILED:
        # A location may be another one by now: a registry can be given another alias. And a token may be what failed.
        clients.locations.clear()
        clients.logins.clear()
    return response


def _too_late(request: cfn.Event, clients: Clients, retry: Retry, waited: float) -> str:
    """Say why CloudFormation does not wait for the request any more; empty: it does, as far as we can know."""
    late = f"the request is too late: it came {waited:.0f} s after it was sent"
    if waited >= request.service_timeout:
        return f"{late}, and CloudFormation waits {request.service_timeout} s"
    if waited < LATE_AFTER_SECONDS:
        return ""
    history = StackHistory(clients.get("cloudformation"), request.stack_id, retry)
    try:
        if history.is_settled:
            return f"{late}; by now nothing of the stack is in progress"
        if history.has_changed_since(request.logical_resource_id, request.sent):
            return f"{late}; by now the resource is in another state"
    except ImageError as error:
        retry.log.warning(f"not known whether CloudFormation still waits for the request: {error.explain()}")
    return ""


class SourceAdapters:
    """The ports that a source is read through."""

    def __init__(self, declaration: Declaration, clients: Clients, retry: Retry) -> None:
        self._declaration, self._clients, self._retry = declaration, clients, retry
        self._transport = Transport(clients.pool, retry.deadline)
        self._with_secrets: dict[tuple[Repository, str], Login] = {}
        self.objects: ObjectReader = S3Objects(lambda: clients.get("s3"), retry)

    @functools.cached_property
    def destination(self) -> EcrPublicRepository:
        """The repository that is published to, found when it is first needed."""
        return self.find()

    def find(self) -> EcrPublicRepository:
        """Find the repository that is published to, over the API unless a warm function knows it already."""
        client, declared = self._clients.get("ecr-public", ECR_PUBLIC_REGION), self._declaration
        named = (declared.registry_id, declared.repository_name)
        location = self._clients.locations.get(named) or find_repository(client, *named, self._retry)
        if location.is_own:
            self._clients.locations[named] = location
        return location.open(client, retry=self._retry, http=self)

    def remote(self, repository: Repository, credentials_secret_arn: str) -> RegistryRepository:
        """Open a repository of any registry; one of ECR Public itself as what it is."""
        is_here = repository.host.canonical == self.destination.repository.host.canonical
        if is_here and not credentials_secret_arn:
            return self._open(self._clients.logins.ecr_public(repository))
        known = self._with_secrets.get((repository, credentials_secret_arn))
        login = known or self._log_in(repository, credentials_secret_arn)
        if credentials_secret_arn:
            self._with_secrets[repository, credentials_secret_arn] = login
        return self._open(login)

    def _log_in(self, repository: Repository, credentials_secret_arn: str) -> Login:
        return self._retry.call(
            f"logging in to {repository.host}",
            lambda: self._clients.logins.for_registry(repository, credentials_secret_arn),
            retry_access_denied=True,
        )

    def read(self, repository: Repository, digest: Digest) -> Manifest:
        """Read a manifest of ECR Public; the caller retries."""
        return self._ecr_public(repository).client.read(repository, digest)

    def resolve(self, repository: Repository, reference: str) -> Digest | None:
        """Resolve a reference in ECR Public; the caller retries."""
        return self._ecr_public(repository).client.resolve(repository, reference)

    def blob(self, repository: Repository, blob: Descriptor) -> Generator[bytes, None, None]:
        """Stream a blob of ECR Public."""
        return self._ecr_public(repository).blob(blob)

    def upload(self, repository: Repository, blob: Descriptor, content: Content) -> None:
        """Store a blob in ECR Public."""
        login = self._clients.logins.ecr_public(repository)
        Uploads(self._transport, login.auth, login.repository, self._retry).upload(blob, content)

    def _ecr_public(self, repository: Repository) -> RegistryRepository:
        return self._open(self._clients.logins.ecr_public(repository))

    def _open(self, login: Login) -> RegistryRepository:
        return RegistryRepository(RegistryClient(self._transport, login.auth), login.repository, self._retry)


class Adapters(SourceAdapters):
    """
    The ports of one invocation.

    Args:
        retry: Until time for the work runs out.
        undo: Until time for undoing it does.
        may_wait: A permission to remember that was granted just now is waited for.
    """

    def __init__(
        self, declaration: Declaration, clients: Clients, retry: Retry, undo: Retry, *, may_wait: bool = True
    ) -> None:
        super().__init__(declaration, clients, retry)
        self._undo = undo
        self.parameters = Parameters(lambda: clients.get("ssm", ECR_PUBLIC_REGION), retry, may_wait)
        self.first_parameters = Parameters(lambda: clients.get("ssm"), retry, may_wait)

    @property
    def undoing(self) -> EcrPublicRepository:
        """The same repository, found already, with time left to undo."""
        http = SourceAdapters(self._declaration, self._clients, self._undo)
        return replace(self.destination, retry=self._undo, http=http)

    def history(self, stack_id: str) -> StackHistory:
        """Ask about a stack."""
        return StackHistory(self._clients.get("cloudformation"), stack_id, self._retry)

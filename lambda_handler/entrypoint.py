"""
The Lambda's entry point, and the only place where adapters meet use cases.

``lambda_handler.entrypoint.handler`` is part of the public contract.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import botocore.config
import botocore.session
import urllib3
from botocore import xform_name

from . import cfn
from .aws import Parameters, S3Objects, is_rolling_back
from .aws.errcode import translated
from .clock import Clock, Deadline, SystemClock
from .ecr_public import Content, EcrPublicRepository, Place, locate
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

ANSWER_SECONDS = 15.0
"""Kept back from the work, for handing over the answer: one attempt of 10 s and a retry."""

UNDO_SECONDS = 15.0
"""Kept back from the work, for pointing tags back when time runs out between two of them."""

ATTEMPT_SECONDS = 1.0
"""However little time is left, one attempt to answer is made."""

START_SECONDS = 5.0
"""CloudFormation's clock began before ours: queueing, and a cold start."""


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
    """

    def __init__(self) -> None:
        self.pool = urllib3.PoolManager(maxsize=16)
        self.logins = Logins(self._call)
        self.places: dict[tuple[str | None, str], Place] = {}
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
            read_timeout=20,
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
    request = cfn.Event.parse(event)
    log = Log().bind(
        requestType=request.request_type.value,
        stackId=request.stack_id,
        logicalResourceId=request.logical_resource_id,
        awsRequestId=context.aws_request_id,
    )
    seconds = min(context.get_remaining_time_in_millis() / 1000, request.service_timeout - START_SECONDS)
    end = Deadline.after(max(seconds, ATTEMPT_SECONDS), clock)
    deadline = Deadline(clock, end.expires - ANSWER_SECONDS)
    work = Deadline(clock, deadline.expires - UNDO_SECONDS)
    resource = PublicImageResource(
        connect=lambda declaration: Adapters(declaration, clients, Retry(work, log), Retry(deadline, log)),
        log=log,
    )
    response = cfn.respond(request, resource, deadline, log)
    if response.status is cfn.Status.FAILED:
        # A place may be another one by now: a registry can be given another alias.
        clients.places.clear()
    cfn.deliver(request.response_url, response.encode(request), clients.pool, Retry(end, log))
    log.info(f"answered {response.status}", physicalResourceId=response.physical_resource_id)


class SourceAdapters:
    """The ports that a source is read through."""

    def __init__(self, declaration: Declaration, clients: Clients, retry: Retry) -> None:
        self._declaration, self._clients, self._retry = declaration, clients, retry
        self._transport = Transport(clients.pool, retry.deadline)
        self.objects: ObjectReader = S3Objects(lambda: clients.get("s3"), retry)

    @functools.cached_property
    def destination(self) -> EcrPublicRepository:
        """The repository that is published to, found when it is first needed."""
        return self.find()

    def find(self) -> EcrPublicRepository:
        """Find the repository that is published to, over the API unless a warm function knows it already."""
        client, declared = self._clients.get("ecr-public", ECR_PUBLIC_REGION), self._declaration
        named = (declared.registry_id, declared.repository_name)
        place = self._clients.places.get(named) or locate(client, *named, self._retry)
        if place.is_own:
            self._clients.places[named] = place
        return place.open(client, retry=self._retry, http=self)

    def remote(self, repository: Repository, credentials_secret_arn: str) -> RegistryRepository:
        """Open a repository of any registry; one of ECR Public itself as what it is."""
        if repository.host == self.destination.repository.host and not credentials_secret_arn:
            return self._open(self._clients.logins.ecr_public(repository))
        doing = f"logging in to {repository.host}"
        return self._open(
            self._retry.call(doing, lambda: self._clients.logins.other(repository, credentials_secret_arn), settle=True)
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
        Uploads(self._transport, login.tokens, login.repository, self._retry).upload(blob, content)

    def _ecr_public(self, repository: Repository) -> RegistryRepository:
        return self._open(self._clients.logins.ecr_public(repository))

    def _open(self, login: Login) -> RegistryRepository:
        return RegistryRepository(RegistryClient(self._transport, login.tokens), login.repository, self._retry)


class Adapters(SourceAdapters):
    """
    The ports of one invocation.

    Args:
        retry: Until time for the work runs out.
        undo: Until time for undoing it does.
    """

    def __init__(self, declaration: Declaration, clients: Clients, retry: Retry, undo: Retry) -> None:
        super().__init__(declaration, clients, retry)
        self._undo = undo
        self.parameters = Parameters(lambda: clients.get("ssm"), retry)

    @property
    def undoing(self) -> EcrPublicRepository:
        """The same repository, found already, with time left to undo."""
        http = SourceAdapters(self._declaration, self._clients, self._undo)
        return replace(self.destination, retry=self._undo, http=http)

    def is_rolling_back(self, stack_id: str) -> bool:
        """Whether CloudFormation is undoing a deployment of the stack."""
        return is_rolling_back(self._clients.get("cloudformation"), stack_id, self._retry)

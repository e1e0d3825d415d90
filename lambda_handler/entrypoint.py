"""
The Lambda's entry point, and the only place where adapters meet use cases.

``lambda_handler.entrypoint.handler`` is part of the public contract.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import botocore.config
import botocore.session
import urllib3

from . import cfn
from .clock import Clock, Deadline, SystemClock
from .ecr_public import EcrPublicRepository, S3Objects, open_repository
from .ecr_public.errcode import translated
from .errors import ImageError
from .log import Log
from .oci import Digest, Manifest, RegistryHost, Repository
from .registry import RegistryClient, Transport
from .registry.auth import Tokens
from .resources.public_image import PublicImageResource
from .retry import Retry
from .spec import Declaration

ECR_PUBLIC_REGION = "us-east-1"
"""Amazon ECR Public's API is served here only, whatever the Region of the stack."""

ANSWER_SECONDS = 15.0
"""Kept back from the work, for handing over the answer: one attempt of 10 s and a retry."""

START_SECONDS = 5.0
"""CloudFormation's clock began before ours: queueing, and a cold start."""


class Context(Protocol):
    """What we need of Lambda's context object."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the function."""


@dataclass(frozen=True, slots=True)
class Clients:
    """
    What a warm function keeps from one invocation to the next.

    Attributes:
        tokens: By registry host; each is asked for again when it stops working.
    """

    ecr_public: Any
    s3: Callable[[], Any]
    pool: urllib3.PoolManager
    tokens: dict[RegistryHost, Tokens] = field(default_factory=dict)

    def tokens_of(self, host: RegistryHost) -> Tokens:
        """Return the tokens of ECR Public's registry."""
        return self.tokens.setdefault(host, Tokens(host, self._password))

    def _password(self) -> str | None:
        """Return ``AWS:<password>``, or None where the role may not have one: reading needs none."""
        try:
            with translated("ecr-public:GetAuthorizationToken"):
                answer = self.ecr_public.get_authorization_token()
        except ImageError:
            return None
        return base64.b64decode(answer["authorizationData"]["authorizationToken"]).decode()


@functools.cache
def _clients() -> Clients:
    session = botocore.session.get_session()
    config = botocore.config.Config(
        connect_timeout=5,
        read_timeout=20,
        # The one layer of retries is retry.py.
        retries={"total_max_attempts": 1, "mode": "standard"},
        user_agent_extra="cdk-ecrpublic",
    )
    return Clients(
        ecr_public=session.create_client("ecr-public", region_name=ECR_PUBLIC_REGION, config=config),
        s3=functools.cache(lambda: session.create_client("s3", config=config)),
        pool=urllib3.PoolManager(),
    )


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
    end = Deadline.after(seconds, clock)
    deadline = Deadline(clock, end.expires - ANSWER_SECONDS)
    resource = PublicImageResource(lambda declaration: _connect(declaration, clients, Retry(deadline, log)), log)
    response = cfn.respond(request, resource, deadline, log)
    cfn.deliver(request.response_url, response.encode(request), clients.pool, Retry(end, log))
    log.info(f"answered {response.status}", physicalResourceId=response.physical_resource_id)


@dataclass(frozen=True, slots=True)
class _Ports:
    destination: EcrPublicRepository
    objects: S3Objects


def _connect(declaration: Declaration, clients: Clients, retry: Retry) -> _Ports:
    destination = open_repository(
        clients.ecr_public,
        declaration.registry_id,
        declaration.repository_name,
        retry=retry,
        reader=_Reader(clients, Transport(clients.pool, retry.deadline)),
    )
    return _Ports(destination, S3Objects(clients.s3, retry))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Gives each registry its own tokens."""

    clients: Clients
    transport: Transport

    def read(self, repository: Repository, digest: Digest) -> Manifest:
        return self._client(repository).read(repository, digest)

    def resolve(self, repository: Repository, reference: str) -> Digest | None:
        return self._client(repository).resolve(repository, reference)

    def _client(self, repository: Repository) -> RegistryClient:
        return RegistryClient(self.transport, self.clients.tokens_of(repository.host))

"""Where the requests of a run go: AWS, or a sandbox."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

from cdk_ecrpublic._assets.lambda_handler.oci import RegistryHost
from cdk_ecrpublic.sandbox import Sandbox, SandboxProcess

from .guard import REGION

AWS_HOSTS = ("public.ecr.aws", "ecr-public.aws.com")

ONE_ATTEMPT = Config(retries={"total_max_attempts": 1}, parameter_validation=False, connect_timeout=20, read_timeout=60)
"""For ECR Public: the first response counts, and the service judges the parameters."""

USUAL = Config(retries={"total_max_attempts": 1}, connect_timeout=20, read_timeout=60)
"""For other services, which are only means. The transport repeats and counts, not botocore."""


def config_for(service: str) -> Config:
    """Return the configuration of a client."""
    return ONE_ATTEMPT if service == "ecr-public" else USUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """
    One side of the comparison.

    Attributes:
        name: The name in reports.
        account: The account: 12 digits.
        scheme: ``https``; ``http`` for the sandbox.
        hosts: Two host names of the registry.
        client: Returns a boto3 client for a service in a Region.
        wait: Waits a number of seconds.
        has_virtual_time: Whether long waits take no time.
        pauses: The seconds to wait before each request of a kind: ``anonymous``, ``http``, ``api``.
        settle_seconds: The pause between a write and a read, except where the delay itself is the question.
        secrets: What must never be written: the credentials.
    """

    name: str
    account: str
    scheme: str
    hosts: tuple[str, ...]
    client: Callable[[str, str], Any]
    wait: Callable[[float], None] = time.sleep
    has_virtual_time: bool = False
    pauses: tuple[tuple[str, float], ...] = ()
    settle_seconds: float = 0.0
    secrets: tuple[str, ...] = field(default=(), repr=False)


def aws(account: str, profile: str | None = None) -> Endpoint:
    """Return AWS, with the credentials of the environment or of a profile."""
    session = boto3.Session(profile_name=profile)

    def client(service: str, region: str) -> Any:  # noqa: ANN401 - boto3's clients are made at run time
        return session.client(service, region_name=region, config=config_for(service))  # type: ignore[call-overload]

    registries = client("ecr-public", REGION).describe_registries()["registries"]
    host = RegistryHost.parse(str(registries[0]["registryUri"]).partition("/")[0] if registries else AWS_HOSTS[0])
    return Endpoint(
        name="AWS",
        account=account,
        scheme=host.url.partition(":")[0],
        hosts=AWS_HOSTS if str(host) in AWS_HOSTS else _loopback_hosts(str(host)),
        client=client,
        # The quotas are 1 anonymous pull and 10 calls of PutImage per second.
        pauses=(("anonymous", 1.1), ("http", 0.15), ("api", 0.12)),
        settle_seconds=1.0 if str(host) in AWS_HOSTS else 0.0,
        secrets=_secrets(session),
    )


def _loopback_hosts(host: str) -> tuple[str, str]:
    """Return two names of a sandbox, which can also stand for AWS."""
    return host, host.replace("127.0.0.1", "localhost")


def _secrets(session: boto3.Session) -> tuple[str, ...]:
    credentials = session.get_credentials()
    frozen = credentials.get_frozen_credentials() if credentials else None
    return tuple(value for value in frozen or () if value)


def sandbox(running: Sandbox | SandboxProcess, name: str = "sandbox") -> Endpoint:
    """Return a running sandbox. Waiting takes no time if the sandbox runs in this process."""

    def client(service: str, region: str) -> Any:  # noqa: ANN401
        return running.client(service, region_name=region, config=config_for(service))

    host = running.registry_host
    return Endpoint(
        name=name,
        account=running.account,
        scheme="http",
        hosts=_loopback_hosts(host),
        client=client,
        wait=_Advance(running) if isinstance(running, Sandbox) else time.sleep,
        has_virtual_time=isinstance(running, Sandbox),
    )


@dataclass(slots=True)
class _Advance:
    """Advances the clock of a sandbox by long waits; short ones are for rates and stale reads, and are real."""

    sandbox: Sandbox
    offset: float = 0.0

    def __call__(self, seconds: float) -> None:
        if seconds < LONG_SECONDS:
            time.sleep(seconds)
            return
        self.offset += seconds
        self.sandbox.store.clock = self.sandbox.world.tokens.clock = lambda: time.time() + self.offset


LONG_SECONDS = 60.0

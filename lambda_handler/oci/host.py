"""
Registry hosts: which names are one registry, and whose registry it is.

Hosts are compared as parsed hosts, never by what a text contains.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from ..errors import InvalidReferenceError, shown

ECR_PUBLIC_NAMES = frozenset({"public.ecr.aws", "ecr-public.aws.com"})
"""
The hosts of ECR Public; the first is the canonical one, the other answers over IPv6, too.

References:
    Amazon ECR Public user guide, "Making requests over IPv6".
"""

DOCKER_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
"""The hosts of Docker Hub; the first is its name in references."""

PRIVATE_ECR = re.compile(
    r"(?P<account>[0-9]{12})\."
    r"(?:dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\."
    r"(?:amazonaws\.(?:com(?:\.cn)?|eu)|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
    r"|dkr-ecr(?:-fips)?\.(?P<dual_region>[a-z0-9-]+)\.on\.(?:aws|amazonwebservices\.(?:com\.cn|eu)))"
)
"""
Private registries, those of FIPS, of IPv6 and of other partitions too.

References:
    Amazon ECR user guide, "Amazon ECR private registry" and "Dual-stack
    endpoints"; the DNS suffixes of the partitions are those of botocore.
"""

_LIKE_PRIVATE_ECR = re.compile(r"[0-9]{12}\.dkr[.-]ecr[.-].+")
"""What nobody but private ECR is called, in a partition that is not known yet."""

_REGISTRIES = re.compile(
    r"(registry-1\.|index\.)?docker\.io|registry\.hub\.docker\.com|ghcr\.io|quay\.io|(.+\.)?gcr\.io|.+\.pkg\.dev"
    r"|.+\.azurecr\.io|mcr\.microsoft\.com|registry\.(k8s\.io|gitlab\.com|redhat\.io)|registry\.access\.redhat\.com"
    r"|nvcr\.io|cgr\.dev|lscr\.io"
)
"""Registries of others that everybody knows; no repository of ECR Public is called so on purpose."""

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?)(?::(?P<port>[0-9]{1,5}))?")

_TLS_PORT = 443


@dataclass(frozen=True, slots=True)
class PrivateEcr:
    """A registry of private ECR: the account (12 digits) and the Region that it belongs to."""

    account: str
    region: str


@dataclass(frozen=True, slots=True)
class RegistryHost:
    """A registry's host name or address, in lower case, and its port if it names one."""

    name: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> RegistryHost:
        """
        Read ``host[:port]``.

        Raises:
            InvalidReferenceError: For any other form.
        """
        match = _HOST.fullmatch(text)
        port = int(match["port"]) if match and match["port"] else None
        if match is None or (port is not None and port not in range(1, 65536)):
            message = f"{shown(text)} is not a registry host; expected host or host:port, e.g. 'public.ecr.aws'"
            raise InvalidReferenceError(message)
        return cls(match["name"].lower(), port)

    @property
    def canonical(self) -> RegistryHost:
        """The same registry by the name that it has in references, without a port that says nothing."""
        if self.port not in {None, _TLS_PORT} or self.is_loopback:
            return self
        if self.name in DOCKER_HUB_NAMES:
            return _DOCKER_HUB
        return _ECR_PUBLIC if self.name in ECR_PUBLIC_NAMES else RegistryHost(self.name)

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine, which container tools speak plain HTTP with."""
        if self.name == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.name.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def is_certain(self) -> bool:
        """Whether it can only be a host, by Docker's rule: a dot, a port or ``localhost`` tells it from a name."""
        return "." in self.name or self.port is not None or self.name.startswith("[") or self.name == "localhost"

    @property
    def is_ecr_public(self) -> bool:
        """Whether it is ECR Public's, by either of its names."""
        return self.canonical == _ECR_PUBLIC

    @property
    def is_docker_hub(self) -> bool:
        """Whether it is Docker Hub's, by any of its names."""
        return self.canonical == _DOCKER_HUB

    @property
    def private_ecr(self) -> PrivateEcr | None:
        """Whose registry of private ECR it is; None: it is another."""
        match = PRIVATE_ECR.fullmatch(self.canonical.name) if self.canonical.port is None else None
        return PrivateEcr(match["account"], match["region"] or match["dual_region"]) if match else None

    @property
    def is_private_ecr(self) -> bool:
        """Whether it is a registry of private ECR, also of a partition that is not known here."""
        return bool(_LIKE_PRIVATE_ECR.fullmatch(self.name))

    @property
    def is_foreign(self) -> bool:
        """Whether it is surely a registry of somebody else than ECR Public."""
        return self.is_private_ecr or bool(_REGISTRIES.fullmatch(self.name))

    @property
    def url(self) -> str:
        """The registry's base address: TLS for all but loopback hosts."""
        if self.is_docker_hub:
            return "https://registry-1.docker.io"
        return f"{'http' if self.is_loopback else 'https'}://{self}"

    def __str__(self) -> str:
        return self.name if self.port is None else f"{self.name}:{self.port}"


_DOCKER_HUB = RegistryHost("docker.io")
_ECR_PUBLIC = RegistryHost("public.ecr.aws")

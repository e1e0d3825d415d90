"""
Registry hosts: the names of each registry, and who runs it.

Hosts are always parsed before they are compared; see ``RegistryHost.canonical``.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from ..errors import InvalidReferenceError, truncated_repr

ECR_PUBLIC_NAMES = frozenset({"public.ecr.aws", "ecr-public.aws.com"})
"""
The hosts of ECR Public: the canonical one, and the dual-stack one, which also supports IPv6.

References:
    Amazon ECR Public user guide, "Making requests over IPv6".
"""

DOCKER_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
"""The hosts of Docker Hub; references use the first one."""

PRIVATE_ECR = re.compile(
    r"(?P<account>[0-9]{12})\."
    r"(?:dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\."
    r"(?:amazonaws\.(?:com(?:\.cn)?|eu)|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
    r"|dkr-ecr(?:-fips)?\.(?P<dual_region>[a-z0-9-]+)\.on\.(?:aws|amazonwebservices\.(?:com\.cn|eu)))"
)
"""
Hosts of private ECR registries, including FIPS and dual-stack endpoints and all partitions.

References:
    Amazon ECR user guide, "Amazon ECR private registry" and "Dual-stack
    endpoints"; the DNS suffixes of the partitions are those of botocore.
"""

_LIKE_PRIVATE_ECR = re.compile(r"[0-9]{12}\.dkr[.-]ecr[.-].+")
"""Any host that only private ECR can have, including partitions that this version does not know."""

_REGISTRIES = re.compile(
    r"(registry-1\.|index\.)?docker\.io|registry\.hub\.docker\.com|ghcr\.io|quay\.io|(.+\.)?gcr\.io|.+\.pkg\.dev"
    r"|.+\.azurecr\.io|mcr\.microsoft\.com|registry\.(k8s\.io|gitlab\.com|redhat\.io)|registry\.access\.redhat\.com"
    r"|nvcr\.io|cgr\.dev|lscr\.io"
)
"""Well-known registries of other providers. A repository name in ECR Public that looks like one is a mistake."""

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?)(?::(?P<port>[0-9]{1,5}))?")

_TLS_PORT = 443


@dataclass(frozen=True, slots=True)
class PrivateEcr:
    """A private ECR registry: its account (12 digits) and its Region."""

    account: str
    region: str


@dataclass(frozen=True, slots=True)
class RegistryHost:
    """The host name or IP address of a registry, in lower case, and its port if one is given."""

    name: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> RegistryHost:
        """
        Parse ``host[:port]``.

        Raises:
            InvalidReferenceError: *text* has another form.
        """
        match = _HOST.fullmatch(text)
        port = int(match["port"]) if match and match["port"] else None
        if match is None or (port is not None and port not in range(1, 65536)):
            message = (
                f"{truncated_repr(text)} is not a registry host; expected host or host:port, e.g. 'public.ecr.aws'"
            )
            raise InvalidReferenceError(message)
        return cls(match["name"].lower(), port)

    @property
    def canonical(self) -> RegistryHost:
        """The same registry by the name that references use, without the default port."""
        if self.port not in {None, _TLS_PORT} or self.is_loopback:
            return self
        if self.name in DOCKER_HUB_NAMES:
            return _DOCKER_HUB
        return _ECR_PUBLIC if self.name in ECR_PUBLIC_NAMES else RegistryHost(self.name)

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine, to which container tools connect over plain HTTP."""
        if self.name == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.name.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def is_certain(self) -> bool:
        """Whether Docker takes this for a host and not for a path: it has a dot or a port, or is ``localhost``."""
        return "." in self.name or self.port is not None or self.name.startswith("[") or self.name == "localhost"

    @property
    def is_ecr_public(self) -> bool:
        """Whether this is ECR Public, by either of its names."""
        return self.canonical == _ECR_PUBLIC

    @property
    def is_docker_hub(self) -> bool:
        """Whether this is Docker Hub, by any of its names."""
        return self.canonical == _DOCKER_HUB

    @property
    def private_ecr(self) -> PrivateEcr | None:
        """The account and Region of a private ECR registry; None for any other registry."""
        match = PRIVATE_ECR.fullmatch(self.canonical.name) if self.canonical.port is None else None
        return PrivateEcr(match["account"], match["region"] or match["dual_region"]) if match else None

    @property
    def is_private_ecr(self) -> bool:
        """Whether this is private ECR, including partitions that this version does not know."""
        return bool(_LIKE_PRIVATE_ECR.fullmatch(self.name))

    @property
    def is_foreign(self) -> bool:
        """Whether this is certainly not ECR Public."""
        return self.is_private_ecr or bool(_REGISTRIES.fullmatch(self.name))

    @property
    def url(self) -> str:
        """The base URL of the registry: https, except for loopback hosts."""
        if self.is_docker_hub:
            return "https://registry-1.docker.io"
        return f"{'http' if self.is_loopback else 'https'}://{self}"

    def __str__(self) -> str:
        return self.name if self.port is None else f"{self.name}:{self.port}"


_DOCKER_HUB = RegistryHost("docker.io")
_ECR_PUBLIC = RegistryHost("public.ecr.aws")

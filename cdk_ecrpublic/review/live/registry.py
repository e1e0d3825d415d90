"""
Read the live registry.

This module uses the handler's own adapters, so that a review sees what a
deployment will see. With AWS credentials it uses the control-plane API, and
without them only the registry API, anonymously.
"""

from __future__ import annotations

import functools
import io
import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ..._assets.lambda_handler.archive import StoredObject
from ..._assets.lambda_handler.aws.errcode import translated
from ..._assets.lambda_handler.aws.signing import Signing
from ..._assets.lambda_handler.clock import Deadline, SystemClock
from ..._assets.lambda_handler.ecr_public import EcrPublicRepository
from ..._assets.lambda_handler.entrypoint import Clients, SourceAdapters
from ..._assets.lambda_handler.errors import AccessError, ImageError, RepositoryNotFoundError
from ..._assets.lambda_handler.log import Log
from ..._assets.lambda_handler.oci import Digest, Repository, is_account_id
from ..._assets.lambda_handler.publish.ports import ObjectReader
from ..._assets.lambda_handler.registry import RegistryClient, RegistryRepository, Transport
from ..._assets.lambda_handler.registry.logins import ECR_PUBLIC_REGION
from ..._assets.lambda_handler.retry import Retry
from ..._assets.lambda_handler.spec import Declaration
from ...constructs._sources.archive_file import ArchiveFile
from ..app.assembly import StoredFile
from ..app.declared import DeclaredImage
from ..app.environment import Environment
from .listing import ListingClient
from .repositories import AnonymousRepository, PendingRepository, find_locations
from .retry import PromptRetry, ReviewRetry

T = TypeVar("T")

SECONDS = 900.0
"""The time limit of a review."""

PROMPT_SECONDS = 60.0
"""How long a review waits because of throttling, for facts that it can do without."""

_REGION_VARIABLES = ("AWS_REGION", "AMAZON_REGION", "AWS_DEFAULT_REGION", "AMAZON_DEFAULT_REGION")

DEFAULT_REGION = "us-east-1"
"""The Region that ``cdk deploy`` uses if none is configured."""

PUBLIC_HOST = "public.ecr.aws"


class ReviewClients(Clients):
    """Clients that several threads share."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self.logins.caches_secrets = True

    @functools.cached_property
    def has_credentials(self) -> bool:
        """
        Whether AWS credentials are configured. They may still be invalid.

        Raises:
            AccessError: The configuration cannot be read, for example because a profile does not exist.
        """
        try:
            with self._lock, translated("reading AWS credentials"):
                return self._session.get_credentials() is not None
        except ImageError as error:
            message = f"the AWS credentials cannot be read: {error.__cause__}"
            hint = "correct AWS_PROFILE and the AWS configuration, or unset it to read anonymously"
            raise AccessError(message, operation="reading AWS credentials", hint=hint) from error

    @functools.cached_property
    def region(self) -> str:
        """The Region of stacks that declare none, found in the same way as by the ``cdk`` command line."""
        configured = filter(None, map(os.environ.get, _REGION_VARIABLES))
        return str(next(configured, None) or self._session.get_config_variable("region") or DEFAULT_REGION)

    @functools.cached_property
    def account(self) -> str | None:
        """The account of the credentials; None if there are no valid ones."""
        # The first call needs no permission. The second works if only ECR Public is emulated.
        for service, region, operation, read in (
            ("sts", self.region, "GetCallerIdentity", lambda answer: str(answer["Account"])),
            (
                "ecr-public",
                ECR_PUBLIC_REGION,
                "DescribeRegistries",
                lambda answer: str(answer["registries"][0]["registryId"]),
            ),
        ):
            with suppress(ImageError):
                return self._call(service, region, operation, {}, read)
        return None

    def _call(
        self, service: str, region: str, operation: str, parameters: Mapping[str, object], read: Callable[[Any], T]
    ) -> T:
        # The handler's message would be about the function's credentials.
        if not self.has_credentials:
            message = f"{service}:{operation} needs AWS credentials, but there are none"
            raise AccessError(message, operation=f"{service}:{operation}", hint="set AWS credentials that may call it")
        return super()._call(service, region, operation, parameters, read)


class _Listener(io.StringIO):
    """Receives the lines of a log, and passes the warnings on."""

    def __init__(self, hear: Callable[[Mapping[str, Any]], object]) -> None:
        super().__init__()
        self._hear = hear

    def write(self, line: str) -> int:
        """Take a line."""
        said = json.loads(line)
        if said["level"] == "WARNING":
            self._hear(said)
        return len(line)


def warnings(hear: Callable[[Mapping[str, Any]], object]) -> Log:
    """Return a log that passes only its warnings, with their fields, to *hear*."""
    return Log(stream=_Listener(hear))


SILENT = warnings(lambda _: None)
"""A log that discards everything, for simulated requests."""


@dataclass(frozen=True, slots=True)
class KnownObjects:
    """Objects in S3. Those that the deployment will upload are read from local files."""

    stored: ObjectReader
    files: Mapping[tuple[str, str], StoredFile]

    def read(self, bucket: str, key: str, limit: int) -> bytes:
        """Read a whole object of at most *limit* bytes."""
        if file := self.files.get((bucket, key)):
            return b"".join(ArchiveFile(file.path).read(0, limit + 1))
        return self.stored.read(bucket, key, limit)

    def open(self, bucket: str, key: str) -> StoredObject:
        """Open an object for reading by ranges."""
        file = self.files.get((bucket, key))
        return ArchiveFile(file.path) if file else self.stored.open(bucket, key)


@dataclass(kw_only=True)
class Registry:
    """
    The registries of a review.

    Attributes:
        home: ``HOST/ALIAS`` of the account's own registry, for users without
            credentials; empty if not given.
        files: The files that the deployment will upload.
        tell: Shows a message about a wait.
    """

    clients: ReviewClients = field(default_factory=ReviewClients)
    home: str = ""
    files: Sequence[StoredFile] = ()
    tell: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        self.retry = ReviewRetry(
            Deadline.after(SECONDS, SystemClock()), warnings(lambda said: self.tell(said["message"]))
        )
        self.prompt = PromptRetry(self.retry.deadline, self.retry.log)
        self.objects: dict[tuple[str, str], StoredFile] = {}
        self.add_files(self.files)
        self.environments: dict[tuple[str | None, str | None], Environment] = {}
        self._counts: dict[str, int | None] = {}
        self._repositories: dict[tuple[str | None, str], EcrPublicRepository] = {}

    def ports(self, declaration: Declaration, *, account: str | None = None, is_pending: bool = False) -> ReviewPorts:
        """
        Open the ports for a declaration.

        Args:
            account: The account of its stack; None for that of the credentials.
            is_pending: Whether the app creates the repository.
        """
        if declaration.registry_id is None and account is not None:
            declaration = replace(declaration, registry_id=account)
        return ReviewPorts(self, declaration, is_pending=is_pending)

    def count_once(self, address: str, count: Callable[[], int | None]) -> int | None:
        """Return the number of images of a repository, which *count* finds out once; None if it is not known."""
        if address not in self._counts:
            self._counts[address] = count()
        return self._counts[address]

    def add_files(self, files: Iterable[StoredFile]) -> None:
        """Read *files* from their local paths instead of S3."""
        self.objects |= {(file.bucket, file.key): file for file in files}

    def is_elsewhere(self, account: str | None) -> bool:
        """Whether the credentials are known to belong to another account."""
        return account is not None and is_account_id(account) and self.clients.account not in {None, account}

    def remote(self, repository: Repository, credentials_secret_arn: str = "") -> RegistryRepository:
        """
        Open a repository of any registry for reading.

        Raises:
            AccessError: Its credentials cannot be obtained.
        """
        logins = self.clients.logins
        is_public = repository.host.is_ecr_public or repository.host.name == self.home.partition("/")[0]
        if is_public and not credentials_secret_arn:
            login = logins.ecr_public(repository)
        else:
            doing = f"logging in to {repository.host}"
            login = self.retry.call(doing, lambda: logins.for_registry(repository, credentials_secret_arn))
        client = RegistryClient(Transport(self.clients.pool, self.retry.deadline), login.auth)
        return RegistryRepository(client, login.repository, self.retry, repository)

    def repository(self, ports: ReviewPorts, declaration: Declaration, *, is_pending: bool) -> EcrPublicRepository:
        """
        Find the repository of a declaration.

        Raises:
            NotFoundError: It does not exist, and the app does not create it.
            AccessError: Its registry is not known.
        """
        key = declaration.registry_id, declaration.repository_name
        # If several threads find the same repository, that costs a request, but no thread waits for another.
        if key not in self._repositories:
            self._repositories[key] = self._find(ports, declaration, is_pending=is_pending)
        return self._repositories[key]

    def find_repositories(self, images: Iterable[DeclaredImage]) -> None:
        """
        Find the repositories of *images* with one request for a hundred, instead of one for each.

        An error is not reported: then each repository is searched when it is needed.
        """
        names: dict[str | None, set[str]] = {}
        for image in images:
            with suppress(ImageError):
                registry_id = image.declaration.registry_id or image.account
                if not (image.created_here or self.is_elsewhere(registry_id)):
                    names.setdefault(registry_id, set()).add(image.declaration.repository_name)
        with suppress(ImageError):
            if not self.clients.has_credentials:
                return
            client = self.clients.get("ecr-public", ECR_PUBLIC_REGION)
            for registry_id, wanted in names.items():
                found = find_locations(client, registry_id, sorted(wanted), self.prompt)
                self.clients.locations.update({(registry_id, each.name): each for each in found})

    def _find(self, ports: ReviewPorts, declaration: Declaration, *, is_pending: bool) -> EcrPublicRepository:
        address = self._address(declaration)
        try:
            return self._owned(ports, declaration) or self._anonymous(ports, declaration, address)
        except RepositoryNotFoundError:
            if not is_pending:
                raise
            name = address or Repository.parse(f"{PUBLIC_HOST}/{declaration.repository_name}")
            return PendingRepository(**_fields(declaration, name, ports, self.retry))

    def _owned(self, ports: ReviewPorts, declaration: Declaration) -> EcrPublicRepository | None:
        """Find a repository with the control-plane API; None if access is denied, but its address is known."""
        if not self.clients.has_credentials or self.is_elsewhere(declaration.registry_id):
            return None
        try:
            found = ports.find()
        except AccessError:
            if self._address(declaration) is None:
                raise
            return None
        if not found.is_own:
            # The control-plane API cannot read repositories of other accounts, so it may not exist.
            self._check_exists(ports, found.repository)
        return found

    def _anonymous(
        self, ports: ReviewPorts, declaration: Declaration, address: Repository | None
    ) -> EcrPublicRepository:
        """Open a repository without credentials."""
        if address is None:
            owner = f"account {declaration.registry_id}" if declaration.registry_id else "the account"
            message = f"the address of the repository {declaration.repository_name!r} of {owner} is not known"
            hint = (
                f"set AWS credentials of {owner}, or give its public registry: --registry {PUBLIC_HOST}/ALIAS "
                "(the console shows the alias)"
            )
            raise AccessError(message, operation="finding the repository", hint=hint)
        self._check_exists(ports, address)
        return AnonymousRepository(**_fields(declaration, address, ports, self.retry), has_blob=ports.has_blob)

    def _check_exists(self, ports: ReviewPorts, address: Repository) -> None:
        """
        Check that a repository exists. Otherwise, a missing one would look like an empty one.

        Raises:
            RepositoryNotFoundError: It does not exist.
        """
        if not self.retry.call(f"looking for {address}", lambda: ports.exists(address)):
            message = f"the repository {address} does not exist"
            hint = "create it first, or correct its name or the alias of the registry"
            raise RepositoryNotFoundError(message, operation="GET tags", hint=hint)

    def _address(self, declaration: Declaration) -> Repository | None:
        """Return the public address of the repository; None if the alias of its registry is not known."""
        host, _, alias = self.home.partition("/")
        if declaration.registry_id is not None and not is_account_id(declaration.registry_id):
            alias = declaration.registry_id
        return Repository.parse(f"{host or PUBLIC_HOST}/{alias}/{declaration.repository_name}") if alias else None


def _fields(declaration: Declaration, address: Repository, ports: ReviewPorts, retry: Retry) -> dict[str, Any]:
    return {
        "client": None,
        "registry_id": declaration.registry_id or address.path.partition("/")[0],
        "name": declaration.repository_name,
        "repository": address,
        "registry": ports.registry_api(address),
        "retry": retry,
    }


class ReviewPorts(SourceAdapters):
    """The ports of one declaration."""

    def __init__(self, registry: Registry, declaration: Declaration, *, is_pending: bool) -> None:
        super().__init__(declaration, registry.clients, registry.retry)
        self._registry, self._is_pending = registry, is_pending
        self.objects = KnownObjects(self.objects, registry.objects)
        self.scans = replace(self.scans, until=0.0)
        self.signing = Signing(self._client, registry.retry)

    @property
    def destination(self) -> EcrPublicRepository:  # Python 3.11 would find one repository after the other
        """The destination repository."""
        return self._registry.repository(self, self._declaration, is_pending=self._is_pending)

    def remote(self, repository: Repository, credentials_secret_arn: str) -> RegistryRepository:
        """Open a repository of any registry, without finding the destination."""
        return self._registry.remote(repository, credentials_secret_arn)

    def _client(self, service: str, region: str) -> Any:  # noqa: ANN401 - botocore's clients are made at run time
        if not self._registry.clients.has_credentials:
            message = f"{service} needs AWS credentials, but there are none"
            raise AccessError(message, operation=service, hint="set AWS credentials that may verify signatures")
        return self._registry.clients.get(service, region)

    def has_blob(self, repository: Repository, digest: Digest) -> bool:
        """Whether ECR Public has a blob. The caller retries."""
        return self._listing(repository).has_blob(repository, digest)

    def exists(self, repository: Repository) -> bool:
        """Whether ECR Public has a repository. The caller retries."""
        return self._listing(repository).exists(repository)

    def _listing(self, repository: Repository) -> ListingClient:
        client = self.registry_api(repository).client
        return ListingClient(client.transport, client.auth)

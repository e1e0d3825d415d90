"""
The registry as it is, for reading only.

Made of the handler's own adapters, so that a review sees what a deployment
will see. With AWS credentials the API is asked, and without them the HTTP
face, as everybody may.
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
from ..._assets.lambda_handler.clock import Deadline, SystemClock
from ..._assets.lambda_handler.ecr_public import EcrPublicRepository
from ..._assets.lambda_handler.entrypoint import Clients, SourceAdapters
from ..._assets.lambda_handler.errors import AccessError, ImageError, RepositoryNotFoundError
from ..._assets.lambda_handler.log import Log
from ..._assets.lambda_handler.oci import Digest, Repository, is_account_id
from ..._assets.lambda_handler.publish.ports import ObjectReader
from ..._assets.lambda_handler.registry import RegistryClient, RegistryRepository, Transport
from ..._assets.lambda_handler.registry.logins import ECR_PUBLIC_REGION
from ..._assets.lambda_handler.retry import Attempts, Retry
from ..._assets.lambda_handler.spec import Declaration
from ...constructs._sources.archive_file import ArchiveFile
from ..app.assembly import StoredFile
from ..app.environment import Environment
from .listing import ListingClient
from .repositories import ComingRepository, SeenRepository

T = TypeVar("T")

SECONDS = 900.0
"""How long a review may take, whatever the registries do."""

PROMPT_SECONDS = 60.0
"""How long a review waits for a rate limit in the way of what it can do without."""

_REGION_VARIABLES = ("AWS_REGION", "AMAZON_REGION", "AWS_DEFAULT_REGION", "AMAZON_DEFAULT_REGION")

DEFAULT_REGION = "us-east-1"
"""Where ``cdk deploy`` goes that finds no Region."""

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
        Whether AWS credentials are configured; they may still not be good for anything.

        Raises:
            AccessError: What is configured cannot be read, such as a profile that is not there.
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
        """The Region of stacks that name none, found as the ``cdk`` command line finds it."""
        told = filter(None, map(os.environ.get, _REGION_VARIABLES))
        return str(next(told, None) or self._session.get_config_variable("region") or DEFAULT_REGION)

    @functools.cached_property
    def account(self) -> str | None:
        """Whose credentials these are; None: there are none, or they are not valid."""
        # The first takes no permission at all, the second serves where nothing but ECR Public is emulated.
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
        # The handler would say that its function has no credentials; here a person has none.
        if not self.has_credentials:
            message = f"{service}:{operation} needs AWS credentials, and there are none"
            raise AccessError(message, operation=f"{service}:{operation}", hint="set AWS credentials that may call it")
        return super()._call(service, region, operation, parameters, read)


class ReviewRetry(Retry):
    """Outlives what passes by itself; no permission is about to take effect."""

    def start(self, doing: str, *, retry_access_denied: bool = False) -> Attempts:  # noqa: ARG002
        """Begin to count attempts."""
        return super().start(doing)


class PromptRetry(ReviewRetry):
    """Waits where we have asked too often, and for nothing else: for what a review can do without."""

    def start(self, doing: str, *, retry_access_denied: bool = False) -> Attempts:  # noqa: ARG002
        """Begin to count attempts."""
        return replace(super().start(doing), most=1)


class _Listener(io.StringIO):
    """Takes the lines of a log, and passes the warnings on."""

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
    """Return a log whose warnings are heard, with their fields, and nothing else is."""
    return Log(stream=_Listener(hear))


SILENT = warnings(lambda _: None)
"""What a rehearsal writes down is read by no one."""


@dataclass(frozen=True, slots=True)
class KnownObjects:
    """Objects in S3; those that the deployment brings are read where they are now."""

    stored: ObjectReader
    files: Mapping[tuple[str, str], StoredFile]

    def read(self, bucket: str, key: str, limit: int) -> bytes:
        """Read a whole object of at most *limit* bytes."""
        if file := self.files.get((bucket, key)):
            return b"".join(ArchiveFile(file.path).read(0, limit + 1))
        return self.stored.read(bucket, key, limit)

    def open(self, bucket: str, key: str) -> StoredObject:
        """Open an object to be read by ranges."""
        file = self.files.get((bucket, key))
        return ArchiveFile(file.path) if file else self.stored.open(bucket, key)


@dataclass(kw_only=True)
class Registry:
    """
    The registries of a review.

    Attributes:
        home: ``HOST/ALIAS`` of the account's own registry, for users without
            credentials; empty: not told.
        files: What the deployment will store.
        tell: Tells a person what is waited for.
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
        self._repositories: dict[tuple[str | None, str], EcrPublicRepository] = {}

    def ports(self, declaration: Declaration, *, account: str | None = None, is_coming: bool = False) -> ReviewPorts:
        """
        Open what *declaration* is resolved and observed with.

        Args:
            account: Of its stack; None: whichever deploys it.
            is_coming: The app creates the repository.
        """
        if declaration.registry_id is None and account is not None:
            declaration = replace(declaration, registry_id=account)
        return ReviewPorts(self, declaration, is_coming=is_coming)

    def add_files(self, files: Iterable[StoredFile]) -> None:
        """Let *files* be read where they are now."""
        self.objects |= {(file.bucket, file.key): file for file in files}

    def is_elsewhere(self, account: str | None) -> bool:
        """Whether our credentials are known to be those of another account."""
        return account is not None and is_account_id(account) and self.clients.account not in {None, account}

    def remote(self, repository: Repository, credentials_secret_arn: str = "") -> RegistryRepository:
        """
        Open a repository of any registry for reading.

        Raises:
            AccessError: Its credentials cannot be had.
        """
        logins = self.clients.logins
        is_public = repository.host.is_ecr_public or repository.host.name == self.home.partition("/")[0]
        if is_public and not credentials_secret_arn:
            login = logins.ecr_public(repository)
        else:
            doing = f"logging in to {repository.host}"
            login = self.retry.call(doing, lambda: logins.for_registry(repository, credentials_secret_arn))
        client = RegistryClient(Transport(self.clients.pool, self.retry.deadline), login.auth)
        return RegistryRepository(client, login.repository, self.retry)

    def repository(self, ports: ReviewPorts, declaration: Declaration, *, is_coming: bool) -> EcrPublicRepository:
        """
        Find the repository of *declaration*.

        Raises:
            NotFoundError: There is none, and none is coming.
            AccessError: Nobody says which registry it is in.
        """
        key = declaration.registry_id, declaration.repository_name
        # Several threads may look for one at the same time, which costs a request; none waits for another.
        if key not in self._repositories:
            self._repositories[key] = self._find(ports, declaration, is_coming=is_coming)
        return self._repositories[key]

    def _find(self, ports: ReviewPorts, declaration: Declaration, *, is_coming: bool) -> EcrPublicRepository:
        address = self._address(declaration)
        try:
            return self._owned(ports, declaration) or self._seen(ports, declaration, address)
        except RepositoryNotFoundError:
            if not is_coming:
                raise
            name = address or Repository.parse(f"{PUBLIC_HOST}/{declaration.repository_name}")
            return ComingRepository(**_fields(declaration, name, ports, self.retry))

    def _owned(self, ports: ReviewPorts, declaration: Declaration) -> EcrPublicRepository | None:
        """Find a repository over the API; None where we may not ask, and its address is known."""
        if not self.clients.has_credentials or self.is_elsewhere(declaration.registry_id):
            return None
        try:
            found = ports.find()
        except AccessError:
            if self._address(declaration) is None:
                raise
            return None
        if not found.is_own:
            # Nobody has looked for it: the API tells nothing of others' repositories.
            self._check_exists(ports, found.repository)
        return found

    def _seen(self, ports: ReviewPorts, declaration: Declaration, address: Repository | None) -> EcrPublicRepository:
        """Open a repository as everybody sees it."""
        if address is None:
            owner = f"account {declaration.registry_id}" if declaration.registry_id else "the account"
            message = f"the repository {declaration.repository_name!r} of {owner} has no address that we know"
            hint = (
                f"set AWS credentials of {owner}, or name its public registry: --registry {PUBLIC_HOST}/ALIAS "
                "(the console shows the alias)"
            )
            raise AccessError(message, operation="finding the repository", hint=hint)
        self._check_exists(ports, address)
        return SeenRepository(**_fields(declaration, address, ports, self.retry), has_blob=ports.has_blob)

    def _check_exists(self, ports: ReviewPorts, address: Repository) -> None:
        """
        Look for a repository over HTTP, where one that is not there would pass for an empty one.

        Raises:
            RepositoryNotFoundError: There is none.
        """
        if not self.retry.call(f"looking for {address}", lambda: ports.exists(address)):
            message = f"the repository {address} does not exist"
            hint = "create it first, or correct its name or the alias of the registry"
            raise RepositoryNotFoundError(message, operation="GET tags", hint=hint)

    def _address(self, declaration: Declaration) -> Repository | None:
        """Return where everybody finds the repository; None where only its owner knows."""
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

    def __init__(self, registry: Registry, declaration: Declaration, *, is_coming: bool) -> None:
        super().__init__(declaration, registry.clients, registry.retry)
        self._registry, self._is_coming = registry, is_coming
        self.objects = KnownObjects(self.objects, registry.objects)

    @functools.cached_property
    def destination(self) -> EcrPublicRepository:
        """The repository that is published to."""
        return self._registry.repository(self, self._declaration, is_coming=self._is_coming)

    def remote(self, repository: Repository, credentials_secret_arn: str) -> RegistryRepository:
        """Open a repository of any registry, without looking for the one that is published to."""
        return self._registry.remote(repository, credentials_secret_arn)

    def has_blob(self, repository: Repository, digest: Digest) -> bool:
        """Return whether ECR Public has a blob; the caller retries."""
        return self._listing(repository).has_blob(repository, digest)

    def exists(self, repository: Repository) -> bool:
        """Return whether ECR Public has a repository; the caller retries."""
        return self._listing(repository).exists(repository)

    def _listing(self, repository: Repository) -> ListingClient:
        client = self.registry_api(repository).client
        return ListingClient(client.transport, client.auth)

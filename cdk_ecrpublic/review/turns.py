"""The requests that the function will get in a deployment, on simulated repositories and records."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field, replace

from .._assets.lambda_handler.aws.parameters import Parameters
from .._assets.lambda_handler.aws.stack import StackHistory
from .._assets.lambda_handler.cfn.event import Event, RequestType
from .._assets.lambda_handler.errors import AccessError, ImageError
from .._assets.lambda_handler.oci import Repository
from .._assets.lambda_handler.publish.ports import (
    ObjectReader,
    RemoteRepository,
    ScanReader,
    SigningServices,
    SourcePorts,
)
from .._assets.lambda_handler.registry.logins import ECR_PUBLIC_REGION
from .._assets.lambda_handler.resources.record_names import MOVING, always_has_record, owner_of, possible_segments
from .._assets.lambda_handler.resources.turn import Turn, decode_or_none
from .._assets.lambda_handler.spec import RESOURCE_TYPE, as_sent
from .app.declared import DeclaredImage
from .live.environment import LiveStack
from .live.records import KnownParameters
from .live.registry import SILENT, Registry
from .rehearsal import RehearsedParameters, RehearsedRepository, Texts

SENT = 32_503_680_000.0
"""The time at which simulated requests are sent: the year 3000, so that all existing records are older."""

NEXT_SECONDS = 0.001
"""How long after each other the simulated requests of a rollback are sent: their order decides who has a tag."""


@dataclass(frozen=True, slots=True)
class RehearsedStack:
    """
    The simulated status of a stack.

    Attributes:
        history: The real history; None if the stack is not deployed.
        has_failed: Whether its last deployment failed and was not rolled back.
        updated: The logical ids of the resources that simulated requests update.
    """

    is_rolling_back: bool
    history: StackHistory | None = None
    has_failed: bool = False
    updated: AbstractSet[str] = frozenset()

    def has_succeeded_since(self, sent: float, *, before_this: bool = False) -> bool | None:  # noqa: ARG002
        """Whether a deployment has succeeded since *sent*, before the simulated one."""
        if sent >= SENT:
            return not self.is_rolling_back
        if self.history is None or not self.has_failed:
            return True
        return self.history.has_succeeded_since(sent)

    def has_been_updated_since(self, logical_resource_id: str, sent: float) -> bool:
        """Whether a resource was updated since *sent*, by a simulated request or before."""
        if sent >= SENT:
            return False
        if logical_resource_id in self.updated:
            return True
        return self.history is not None and self.history.has_been_updated_since(logical_resource_id, sent)

    def has_update_failed(self, logical_resource_id: str) -> bool:  # noqa: ARG002
        """Whether an update of a resource has failed in the deployment: it has not begun."""
        return False

    def has_created_since(self, logical_resource_id: str, sent: float) -> bool | None:  # noqa: ARG002
        """Whether the last creation of a resource succeeded: a review does not ask about those that failed."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsedPorts:
    """The ports of one request."""

    sources: SourcePorts
    destination: RehearsedRepository
    parameters: RehearsedParameters
    first_parameters: RehearsedParameters
    stack: RehearsedStack

    @property
    def undoing_parameters(self) -> RehearsedParameters:
        """The parameters."""
        return self.parameters

    @property
    def undoing(self) -> RehearsedRepository:
        """The destination repository."""
        return self.destination

    @property
    def restoring(self) -> RehearsedRepository:
        """The destination repository."""
        return self.destination

    @property
    def objects(self) -> ObjectReader:
        """Objects in S3."""
        return self.sources.objects

    @property
    def scans(self) -> ScanReader:
        """Scan findings in private ECR."""
        return self.sources.scans

    @property
    def now(self) -> float:
        """The current time."""
        return self.sources.now

    @property
    def signing(self) -> SigningServices:
        """The services that sign and verify."""
        return self.sources.signing

    def remote(self, repository: Repository, credentials_secret_arn: str) -> RemoteRepository:
        """Open a repository of any registry."""
        return self.sources.remote(repository, credentials_secret_arn)

    def history(self, stack_id: str) -> RehearsedStack:  # noqa: ARG002
        """Return the simulated stack."""
        return self.stack

    def settle(self) -> None:
        """Do nothing: the simulated registry has no stale reads."""


@dataclass
class Turns:
    """
    Creates the simulated requests (`Turn`) for the images of an app.

    Attributes:
        repositories: The simulated repositories, by address.
        texts: The parameters that simulated requests have written.
        updated: The resources that simulated requests update: the name of the stack and the logical id.
        sent: When the last simulated request was sent, in seconds since the epoch.
    """

    registry: Registry
    repositories: dict[str, RehearsedRepository] = field(default_factory=dict)
    texts: Texts = field(default_factory=dict)
    is_rolling_back: bool = False
    updated: set[tuple[str, str]] = field(default_factory=set)
    sent: float = SENT
    _known: dict[tuple[bool, str], KnownParameters] = field(default_factory=dict)
    _opened_sources: dict[int, tuple[DeclaredImage, SourcePorts]] = field(default_factory=dict)

    def copy(self) -> Turns:
        """Return a copy with independent writes, which starts from the current simulated state."""
        return replace(
            self,
            repositories={address: each.copy() for address, each in self.repositories.items()},
            texts={place: dict(texts) for place, texts in self.texts.items()},
            updated=set(self.updated),
        )

    def rolling_back(self) -> Turns:
        """Return a copy for a rollback, which starts from the current simulated state."""
        return replace(self.copy(), is_rolling_back=True)

    def create(self, image: DeclaredImage) -> Turn:
        """
        Create an image that is not deployed yet.

        Raises:
            ImageError: Its repository cannot be found, or its stack has no name yet.
        """
        turn = self._turn(RequestType.CREATE, image, is_needed=False)
        # The resource is new, so it has no record. This saves reading one.
        turn.records.end(*possible_segments(turn.declaration))
        return turn

    def update(self, old: DeclaredImage, new: DeclaredImage) -> Turn:
        """
        Update an image, in place or to another one.

        Raises:
            ImageError: As for ``create``; or the source is mutable, and its record cannot be read.
        """
        try:
            identity = self.deployed(old).physical_id
        except ImageError:
            # The deployed repository cannot be found, so this is a replacement.
            identity = ""
        is_needed = any(each.declaration.pinned is None for each in (old, new))
        turn = self._turn(RequestType.UPDATE, new, old, identity, is_needed=is_needed)
        has_failed = self.has_failed(new)
        if not has_failed:
            # Records could not show it here: they have the full id of the stack, which a review may not know.
            turn.reverses_failed_update = False
        if turn.old is not None and not always_has_record(turn.old) and not has_failed:
            # The record could only show what failed deployments took over, but the last deployment succeeded.
            turn.old_record = None
        elif turn.old is not None:
            # Read before a cached property does: in Python 3.11, its lock would make the images wait for each other.
            with suppress(ImageError):
                turn.records.read(possible_segments(turn.old)[0])
        return turn

    def has_failed(self, image: DeclaredImage) -> bool:
        """Whether the last deployment of the image's stack failed and was not rolled back."""
        return self._failed_stack(image) is not None

    def _failed_stack(self, image: DeclaredImage) -> LiveStack | None:
        stack = self._live_stack(image)
        return stack if stack and stack.has_failed else None

    def _live_stack(self, image: DeclaredImage) -> LiveStack | None:
        environment = self.registry.environments.get((image.account, image.region))
        if environment is None or image.nested_in:
            return None
        stack = environment.stack(image.stack_name)
        return stack if isinstance(stack, LiveStack) else None

    def delete(self, image: DeclaredImage) -> Turn:
        """
        Delete an image.

        Raises:
            ImageError: As for ``update``.
        """
        turn = self.deployed(image)
        return self._turn(RequestType.DELETE, image, None, turn.physical_id, is_needed=turn.declaration.pinned is None)

    def deployed(self, image: DeclaredImage) -> Turn:
        """
        Return a request for an image as it is deployed.

        Raises:
            ImageError: As for ``update``.
        """
        return self._turn(RequestType.CREATE, image, is_needed=image.declaration.pinned is None)

    def _turn(
        self,
        request_type: RequestType,
        image: DeclaredImage,
        old: DeclaredImage | None = None,
        identity: str = "",
        *,
        is_needed: bool,
    ) -> Turn:
        declaration = image.declaration
        self.sent += NEXT_SECONDS if self.is_rolling_back else 0.0
        if request_type is RequestType.UPDATE:
            self.updated.add((image.stack_name, image.logical_id))
        event = Event(
            request_type=request_type,
            response_url="",
            sent=self.sent,
            stack_id=self._known_id(image, old) or _stack_id(image, self._region(image)),
            request_id="rehearsed",
            logical_resource_id=image.logical_id,
            resource_type=RESOURCE_TYPE,
            physical_resource_id=identity,
            properties=as_sent(image.properties),
            old_properties=as_sent(old.properties) if old else {},
        )
        ports = self._ports(image, is_needed=is_needed)
        turn = Turn(event, declaration, ports, SILENT)
        # A record belongs to the stack only if their full ids agree, and here only the record has the full id.
        if is_needed and (record := turn.records.read(MOVING)) is not None and record.stack:
            return Turn(replace(event, stack_id=record.stack), declaration, ports, SILENT)
        return turn

    def _known_id(self, image: DeclaredImage, old: DeclaredImage | None) -> str:
        """
        Return the full id of the stack; empty if the id does not matter.

        It matters if its last deployment failed, or if a rule may have left a
        tag in place, which only the record shows.
        """
        declared = [image.declaration, decode_or_none(old.properties) if old else None]
        leaves = any(rule.may_leave(tag) for each in declared if each for rule in each.rules for tag in each.tags)
        stack = self._live_stack(image) if leaves else self._failed_stack(image)
        return stack.stack_id if stack else ""

    def repository(self, image: DeclaredImage) -> RehearsedRepository:
        """
        Return the repository of an image.

        Raises:
            ImageError: It cannot be found.
        """
        return self._opened(self._sources(image))

    def known(self, image: DeclaredImage, region: str) -> KnownParameters:
        """Return the parameters of an image's account in a Region."""
        clients = self.registry.clients
        is_ours = clients.has_credentials and not self.registry.is_elsewhere(image.account)
        store = Parameters(lambda: clients.get("ssm", region), self.registry.prompt) if is_ours else None
        return self._known.setdefault((is_ours, region), KnownParameters(store))

    def owner(self, image: DeclaredImage) -> str:
        """Return the owner name of an image in its records; empty if the name of its stack is not known."""
        with suppress(AccessError):
            return owner_of(_stack_id(image, self._region(image)), image.logical_id)
        return ""

    def _sources(self, image: DeclaredImage) -> SourcePorts:
        # A simulated rollback needs them a dozen times. The image is kept, so that its id stays its own.
        if id(image) not in self._opened_sources:
            ports = self.registry.ports(image.declaration, account=image.account, is_pending=image.created_here)
            self._opened_sources[id(image)] = image, ports
        return self._opened_sources[id(image)][1]

    def _opened(self, sources: SourcePorts) -> RehearsedRepository:
        repository = sources.destination
        return self.repositories.setdefault(str(repository.repository), RehearsedRepository(repository))

    def _ports(self, image: DeclaredImage, *, is_needed: bool) -> RehearsedPorts:
        sources = self._sources(image)
        stack = self._live_stack(image)
        return RehearsedPorts(
            sources=sources,
            destination=self._opened(sources),
            parameters=self._parameters(image, ECR_PUBLIC_REGION, is_needed=is_needed),
            first_parameters=self._parameters(image, self._region(image), is_needed=is_needed),
            stack=RehearsedStack(
                self.is_rolling_back,
                history=stack.history if stack else None,
                has_failed=stack is not None and stack.has_failed,
                updated={name for stack_name, name in self.updated if stack_name == image.stack_name},
            ),
        )

    def _parameters(self, image: DeclaredImage, region: str, *, is_needed: bool) -> RehearsedParameters:
        others = self.known(image, region)
        # In a rollback, records of a digest that matter have already been read or written.
        own = replace(others, store=None) if self.is_rolling_back and not is_needed else others
        return RehearsedParameters(own, others, region, self.texts, is_needed)

    def _region(self, image: DeclaredImage) -> str:
        region = image.region or self.registry.clients.region
        if region and image.stack_name:
            return region
        message = f"the name or the Region of the stack of {image.path} is not known before the deployment"
        raise AccessError(message, operation="ssm:GetParameter")


def _stack_id(image: DeclaredImage, region: str) -> str:
    return f"arn:aws:cloudformation:{region}:{image.account or ''}:stack/{image.stack_name}"

"""The requests of a deployment, as the function will see them, on repositories and records that are rehearsed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace

from .._assets.lambda_handler.aws import Parameters, StackHistory
from .._assets.lambda_handler.cfn.event import Event, RequestType
from .._assets.lambda_handler.errors import AccessError, ImageError
from .._assets.lambda_handler.oci import Repository
from .._assets.lambda_handler.publish.ports import ObjectReader, RemoteRepository, SourcePorts
from .._assets.lambda_handler.registry.logins import ECR_PUBLIC_REGION
from .._assets.lambda_handler.resources.records import MOVING, owner_of, remembers
from .._assets.lambda_handler.resources.turn import Turn, segments_of
from .._assets.lambda_handler.spec import RESOURCE_TYPE, decode
from .app.declared import DeclaredImage, as_sent
from .live.environment import LiveStack
from .live.memories import KnownParameters
from .live.registry import SILENT, Registry
from .rehearsal import RehearsedParameters, RehearsedRepository, Texts

SENT = 32_503_680_000.0
"""The year 3000: each record that there is was written before the requests of a rehearsal are sent."""


@dataclass(frozen=True, slots=True)
class RehearsedStack:
    """
    What CloudFormation will say of a stack.

    Attributes:
        history: Of a stack whose last deployment failed and was not rolled back; None: it succeeded.
    """

    is_rolling_back: bool
    history: StackHistory | None = None

    def has_succeeded_since(self, sent: float, *, before_this: bool = False) -> bool | None:  # noqa: ARG002
        """Whether a deployment has succeeded since then, before the one that is rehearsed."""
        if sent >= SENT:
            return not self.is_rolling_back
        return True if self.history is None else self.history.has_succeeded_since(sent)


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsedPorts:
    """The ports of one request."""

    sources: SourcePorts
    destination: RehearsedRepository
    parameters: RehearsedParameters
    first_parameters: RehearsedParameters
    stack: RehearsedStack

    @property
    def undoing(self) -> RehearsedRepository:
        """The repository that is published to."""
        return self.destination

    @property
    def objects(self) -> ObjectReader:
        """Objects in S3."""
        return self.sources.objects

    def remote(self, repository: Repository, credentials_secret_arn: str) -> RemoteRepository:
        """Open a repository of any registry."""
        return self.sources.remote(repository, credentials_secret_arn)

    def history(self, stack_id: str) -> RehearsedStack:  # noqa: ARG002
        """Ask about the stack."""
        return self.stack


@dataclass
class Turns:
    """
    Makes turns of the images of an app.

    Attributes:
        repositories: By address.
        texts: What was remembered in the rehearsal.
    """

    registry: Registry
    repositories: dict[str, RehearsedRepository] = field(default_factory=dict)
    texts: Texts = field(default_factory=dict)
    is_rolling_back: bool = False
    _known: dict[tuple[bool, str], KnownParameters] = field(default_factory=dict)

    def copy(self) -> Turns:
        """Return others that begin with what is rehearsed until now, to go on in another way."""
        return replace(
            self,
            repositories={address: each.copy() for address, each in self.repositories.items()},
            texts={place: dict(texts) for place, texts in self.texts.items()},
        )

    def rolling_back(self) -> Turns:
        """Return those of a rollback, which begins with what is rehearsed until now."""
        return replace(self.copy(), is_rolling_back=True)

    def create(self, image: DeclaredImage) -> Turn:
        """
        Create an image that is not deployed yet.

        Raises:
            ImageError: Its repository cannot be found, or its stack has no name yet.
        """
        turn = self._turn(RequestType.CREATE, image, is_needed=False)
        # So nothing is remembered of it, and nothing has to be asked for.
        turn.records.end(*segments_of(turn.declaration))
        return turn

    def update(self, old: DeclaredImage, new: DeclaredImage) -> Turn:
        """
        Update an image, in place or to another one.

        Raises:
            ImageError: As for ``create``; or a source may move, and what is remembered of it may not be read.
        """
        try:
            identity = self.deployed(old).identity
        except ImageError:
            # It cannot be in the same place, then.
            identity = ""
        is_needed = any(decode(each.properties).pinned is None for each in (old, new))
        turn = self._turn(RequestType.UPDATE, new, old, identity, is_needed=is_needed)
        if turn.old is not None and not remembers(turn.old) and self._failed_stack(new) is None:
            # All that it would tell is what deployments have taken over that failed: the last one has succeeded.
            turn.old_record = None
        return turn

    def has_failed(self, image: DeclaredImage) -> bool:
        """Whether the last deployment of the image's stack failed and was not rolled back."""
        return self._failed_stack(image) is not None

    def _failed_stack(self, image: DeclaredImage) -> LiveStack | None:
        environment = self.registry.environments.get((image.account, image.region))
        if environment is None or image.nested_in:
            return None
        stack = environment.stack(image.stack_name)
        return stack if isinstance(stack, LiveStack) and stack.has_failed else None

    def delete(self, image: DeclaredImage) -> Turn:
        """
        Delete an image.

        Raises:
            ImageError: As for ``update``.
        """
        turn = self.deployed(image)
        return self._turn(RequestType.DELETE, image, None, turn.identity, is_needed=turn.declaration.pinned is None)

    def deployed(self, image: DeclaredImage) -> Turn:
        """
        Look at an image as it is deployed.

        Raises:
            ImageError: As for ``update``.
        """
        return self._turn(RequestType.CREATE, image, is_needed=decode(image.properties).pinned is None)

    def _turn(
        self,
        request_type: RequestType,
        image: DeclaredImage,
        old: DeclaredImage | None = None,
        identity: str = "",
        *,
        is_needed: bool,
    ) -> Turn:
        declaration = decode(image.properties)
        event = Event(
            request_type=request_type,
            response_url="",
            sent=SENT,
            stack_id=self._known_id(image) or _stack_id(image, self._region(image)),
            request_id="rehearsed",
            logical_resource_id=image.logical_id,
            resource_type=RESOURCE_TYPE,
            physical_resource_id=identity,
            properties=as_sent(image.properties),
            old_properties=as_sent(old.properties) if old else {},
        )
        ports = self._ports(image, is_needed=is_needed)
        turn = Turn(event, declaration, ports, SILENT)
        # The stack's full id is in the record that belongs to it.
        if is_needed and (record := turn.records.read(MOVING)) is not None and record.stack:
            return Turn(replace(event, stack_id=record.stack), declaration, ports, SILENT)
        return turn

    def _known_id(self, image: DeclaredImage) -> str:
        """Return the stack's full id where its records are compared with it; empty: that does not matter."""
        stack = self._failed_stack(image)
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
        """Return what the records call an image; empty: its stack has no name yet."""
        with suppress(AccessError):
            return owner_of(_stack_id(image, self._region(image)), image.logical_id)
        return ""

    def _sources(self, image: DeclaredImage) -> SourcePorts:
        return self.registry.ports(decode(image.properties), account=image.account, is_coming=image.created_here)

    def _opened(self, sources: SourcePorts) -> RehearsedRepository:
        repository = sources.destination
        return self.repositories.setdefault(str(repository.repository), RehearsedRepository(repository))

    def _ports(self, image: DeclaredImage, *, is_needed: bool) -> RehearsedPorts:
        sources = self._sources(image)
        stack = self._failed_stack(image)
        return RehearsedPorts(
            sources=sources,
            destination=self._opened(sources),
            parameters=self._parameters(image, ECR_PUBLIC_REGION, is_needed=is_needed),
            first_parameters=self._parameters(image, self._region(image), is_needed=is_needed),
            stack=RehearsedStack(self.is_rolling_back, history=stack.history if stack else None),
        )

    def _parameters(self, image: DeclaredImage, region: str, *, is_needed: bool) -> RehearsedParameters:
        others = self.known(image, region)
        # What matters of a digest was read, or written, on the way forward.
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

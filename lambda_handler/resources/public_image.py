"""``Custom::ECRPublicImage``: an image is in a public repository, under these tags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ..cfn.event import Event, RequestType
from ..cfn.response import Response
from ..errors import AccessError, ImageError, MissingContentError, NotFoundError, RemoteError, RepositoryNotFoundError
from ..log import Log
from ..oci import Digest, Manifest, is_account_id
from ..publish.content import Content, present
from ..publish.execute import Progress, execute
from ..publish.observe import observe
from ..publish.plan import Desired, Observed, Plan, broken, make_plan
from ..publish.ports import GONE_SECONDS, Ports, PublicRepository
from ..spec import Declaration, Property, decode
from . import memory, undo
from .planning import desire, resolve
from .record import key_of
from .records import remembers
from .turn import ID_PREFIX, Turn, decoded, registry_in_id

KEPT_TAGS_MAX_CHARACTERS = 1000
"""Of the attribute ``KeptTags``: a response takes 4,096 bytes, for everything."""

_PLACE = (Property.REGISTRY_ID, Property.REPOSITORY_NAME, Property.SOURCE, Property.PLATFORMS, Property.REFRESH)
"""What an image and its repository are declared with; where one of them changes, no tag is taken to be in place."""

Connect = Callable[[Declaration], Ports]
"""Opens what a declaration is resolved and published with."""


@dataclass(frozen=True, slots=True)
class PublicImageResource:
    """
    The use case, between CloudFormation's lifecycle and the ports.

    Attributes:
        progress: What was moved so far, should time run out while a call hangs.
    """

    connect: Connect
    log: Log
    progress: Progress = field(default_factory=Progress)

    def owns(self, physical_resource_id: str) -> bool:
        """Whether the id is one of ours: neither a marker nor one that CloudFormation invented."""
        return physical_resource_id.startswith(ID_PREFIX)

    def create(self, event: Event) -> Response:
        """Publish what is declared."""
        return self._publish(self._turn(event, decode(event.properties)))

    def update(self, event: Event) -> Response:
        """
        Publish what is declared now; then give back or remove the tags that no longer are, as far as that is meant.

        The plan comes from what the repository holds, not from the old
        properties: so a rollback (an Update the other way round) succeeds
        from any half-done state, and a duplicate does nothing.
        """
        turn = self._turn(event, decode(event.properties))
        try:
            outcome = self._publish(turn)
            kept = undo.leave_old_declaration(turn)
            if turn.lost is not None:
                lost = replace(
                    event, request_type=RequestType.DELETE, physical_resource_id="", properties=event.old_properties
                )
                self._delete(lost, turn.lost)
        except ImageError:
            memory.remember_failure(turn)
            raise
        return replace(outcome, data={**outcome.data, "KeptTags": _shortened(kept)}) if kept else outcome

    def delete(self, event: Event) -> None:
        """
        Undo a creation whose deployment failed, or remove what the declaration asks to remove.

        Otherwise nothing is touched: images outlive the stack that published them.
        """
        declaration = decoded(event.properties)
        if declaration is None:
            self.log.info("nothing was ever published with properties like these")
            return
        if declaration.registry_id is not None and is_account_id(account := registry_in_id(event) or ""):
            # Whose alias it is may not be asked any more, where no image that stays is declared by one.
            declaration = replace(declaration, registry_id=account)
        self._delete(event, declaration)

    def _delete(self, event: Event, declaration: Declaration) -> None:
        turn = self._turn(event, declaration)
        try:
            undo.delete(turn, is_created=self.owns(event.physical_resource_id))
        except RepositoryNotFoundError as error:
            self.log.info(f"nothing to delete: {error.message}", physicalResourceId=event.physical_resource_id)
        except AccessError as error:
            if not error.operation.startswith("ssm:"):
                raise
            # What cannot be read forbids: somebody else may own what this declares.
            self.log.warning(f"images and tags are kept, since it cannot be read who owns them: {error.explain()}")

    def _turn(self, event: Event, declaration: Declaration) -> Turn:
        return Turn(event, declaration, self.connect(declaration), self.log)

    def _publish(self, turn: Turn) -> Response:
        undo.refuse_removal_elsewhere(turn.declaration, turn.ports.destination)
        content = self._resolve(turn)
        plan = self._planned(turn, content)
        try:
            self._execute(turn, plan)
        except MissingContentError:
            # Another declaration may have removed what was there a moment ago.
            content = self._resolve(turn)
            again = self._planned(turn, content)
            if again == plan:
                raise
            self._execute(turn, again)
        data = _attributes(content.root, turn.ports.destination)
        return Response(physical_resource_id=turn.identity, data=data)

    def _execute(self, turn: Turn, plan: Plan) -> None:
        repository = turn.ports.destination
        self.log.info(f"plan for {repository.name}: {plan}", repository=str(repository.repository), **plan.summary())
        execute(plan, repository, self.log, turn.ports.undoing, self.progress)

    def _planned(self, turn: Turn, content: Content) -> Plan:
        """Check everything, write the record that the request needs, and say what else is to be written."""
        declaration, repository = turn.declaration, turn.ports.destination
        observed = observe(content, declaration.tags, repository)
        desired = desire(
            declaration, content, confirm=_doubtful(turn), confirm_image=not declaration.tags and remembers(declaration)
        )
        if self._may_break_rules(turn, desired, observed):
            desired = replace(desired, rules=tuple(rule for rule in desired.rules if not rule.yields_to_rollback))
        # All is checked before anything is written, the record too.
        make_plan(desired, observed)
        shared = memory.remember(turn, content, observed)
        return make_plan(replace(desired, confirm=desired.confirm | frozenset(shared)), observed)

    def _resolve(self, turn: Turn) -> Content:
        """
        Read what is declared; where a moving source is rolled back, what it was resolved to when it was deployed.

        Raises:
            NotFoundError: It is not remembered what was deployed, or the image is gone.
        """
        if turn.declaration.pinned is None and turn.is_undo:
            digest, destination = deployed(turn), turn.ports.destination
            self.log.info(f"rolling back to {digest}, as it was deployed", imageDigest=str(digest))
            return present(destination.manifest(digest, wait_seconds=GONE_SECONDS), destination, ())
        return resolve(turn.declaration, turn.ports)

    def _may_break_rules(self, turn: Turn, desired: Desired, observed: Observed) -> bool:
        """Whether rules are broken that yield to an undo, and this is one."""
        yielding = [rule for rule in desired.rules if rule.yields_to_rollback]
        if turn.event.request_type is not RequestType.UPDATE or not any(broken(yielding, desired, observed)):
            return False
        try:
            return turn.is_rolled_back or turn.was_refused
        except ImageError as error:
            # The violation says more than that we could not ask.
            self.log.warning(f"taken for an update and not for its rollback: {error.explain()}")
            return False


def deployed(turn: Turn) -> Digest:
    """
    Return what the declaration was resolved to when it was deployed.

    Raises:
        NotFoundError: That is not remembered, or cannot be read.
    """
    try:
        digest = turn.record.deployed.get(key_of(turn.event.properties)) if turn.record else None
        cause = "it is not remembered"
    except RemoteError as error:
        digest, cause = None, error.explain()
    if digest is None:
        message = (
            "this is a rollback, and which image the source stood for when it was deployed is not known: "
            f"{cause}; nothing was written"
        )
        hint = (
            "let the rollback go on without this resource (cdk rollback --orphan LOGICAL_ID, or "
            "continue-update-rollback --resources-to-skip LOGICAL_ID), then deploy the image by its digest"
        )
        raise NotFoundError(message, operation="ssm:GetParameter", hint=hint)
    return digest


def _doubtful(turn: Turn) -> Sequence[str]:
    """
    Return the tags that an update may see where they were before the deployment.

    All of an undo, or of another image or repository; else those that are new
    here: another resource may have had one of them until a moment ago.
    """
    event, tags = turn.event, turn.declaration.tags
    if event.request_type is not RequestType.UPDATE:
        return ()
    changed = any(event.old_properties.get(name) != event.properties.get(name) for name in _PLACE)
    if changed or turn.old is None or turn.is_undo:
        return tags
    return [tag for tag in tags if tag not in turn.old.tags]


def _shortened(tags: Sequence[str]) -> str:
    """List tags, as many as there is room for."""
    text = ",".join(tags)
    if len(text) <= KEPT_TAGS_MAX_CHARACTERS:
        return text
    shown = text[:KEPT_TAGS_MAX_CHARACTERS].rpartition(",")[0]
    return f"{shown},... ({len(tags)} in all)"


def _attributes(manifest: Manifest, repository: PublicRepository) -> dict[str, str]:
    """Return what ``Fn::GetAtt`` reads; the manifest itself would not fit the response's 4096 bytes."""
    return {
        "RegistryId": repository.registry_id,
        "RepositoryName": repository.name,
        "RepositoryUri": str(repository.repository),
        "ImageDigest": str(manifest.digest),
        "ImageManifestMediaType": manifest.media_type.value,
        "ImageUri": f"{repository.repository}@{manifest.digest}",
    }

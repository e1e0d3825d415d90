"""``Custom::ECRPublicImage``: publishes an image in a public repository, under the declared tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from ..cfn.event import Event, RequestType
from ..cfn.response import Response
from ..errors import (
    AccessError,
    ConflictError,
    ImageError,
    MissingContentError,
    NotFoundError,
    RemoteError,
    RepositoryNotFoundError,
    TooLateError,
)
from ..log import Log
from ..oci import Digest, Manifest, is_account_id
from ..publish.content import Content, content_in_destination
from ..publish.execute import Progress, execute
from ..publish.observe import observe
from ..publish.plan import Observed, Plan, make_plan
from ..publish.ports import PUT_SECONDS, MissingSignature, Ports, PublicRepository
from ..publish.rule import Verdict, is_protected
from ..spec import Declaration, Property, decode
from . import recording
from .judging import judge_turn
from .planning import desire, missing_signatures, refuse_removal_elsewhere, resolve
from .record_names import declaration_key
from .turn import ID_PREFIX, Turn, decode_or_none, registry_in_physical_id

AT_ONCE_SECONDS = 1.0
"""How old a read may be that was sent together with another one."""

KEPT_TAGS_MAX_CHARACTERS = 1000
"""The size limit of the attribute ``KeptTags``. CloudFormation limits the whole response to 4,096 bytes."""

_IMAGE_PROPERTIES = (
    Property.REGISTRY_ID,
    Property.REPOSITORY_NAME,
    Property.SOURCE,
    Property.PLATFORMS,
    Property.REFRESH,
)
"""The properties that select the image and its repository. If one of them changes, all tags may be stale."""

Connect = Callable[[Declaration], Ports]
"""Opens the ports that a declaration needs."""


@dataclass(slots=True, eq=False, repr=False)
class PublicImageResource:
    """
    Serves the requests of CloudFormation for one custom resource.

    Attributes:
        progress: The tags moved so far, for the response if a call hangs until the deadline.
    """

    connect: Connect
    log: Log
    progress: Progress = field(default_factory=Progress)

    def owns(self, physical_resource_id: str) -> bool:
        """Whether this function created the id. A marker of a failed Create does not count."""
        return physical_resource_id.startswith(ID_PREFIX)

    def create(self, event: Event) -> Response:
        """Publish the declared image."""
        return self._publish(self._turn(event, decode(event.properties)))

    def update(self, event: Event) -> Response:
        """
        Publish the new declaration. Then give back or remove the tags that it dropped, if the declarations ask for it.

        The plan depends on what the repository holds, not on the old
        properties. So a rollback, which is the reverse Update, succeeds from
        any half-done state, and a duplicate does nothing.
        """
        from . import undo  # noqa: PLC0415 - a cold start compiles what it imports

        turn = self._turn(event, decode(event.properties))
        try:
            outcome = self._publish(turn)
            kept = undo.clean_up_after_update(turn)
            if turn.lost_replacement is not None:
                lost = replace(
                    event, request_type=RequestType.DELETE, physical_resource_id="", properties=event.old_properties
                )
                self._delete(lost, turn.lost_replacement)
        except TooLateError:
            # Its undo is already done.
            raise
        except ImageError:
            recording.record_failure(turn)
            raise
        return replace(outcome, data={**outcome.data, "KeptTags": _joined(kept)}) if kept else outcome

    def delete(self, event: Event) -> None:
        """
        Undo a creation whose deployment failed, or remove what the declaration asks to remove.

        Otherwise leave the registry alone: images outlive the stack that published them.
        """
        declaration = decode_or_none(event.properties)
        if declaration is None:
            self.log.info("nothing to delete: with these invalid properties, nothing was published")
            return
        if declaration.registry_id is not None and is_account_id(account := registry_in_physical_id(event) or ""):
            # The role may no longer have the permission to look up the alias in the properties.
            declaration = replace(declaration, registry_id=account)
        self._delete(event, declaration)

    def _delete(self, event: Event, declaration: Declaration) -> None:
        from . import undo  # noqa: PLC0415

        turn = self._turn(event, declaration)
        try:
            undo.delete(turn, is_created=self.owns(event.physical_resource_id))
        except RepositoryNotFoundError as error:
            self.log.info(f"nothing to delete: {error.message}", physicalResourceId=event.physical_resource_id)
            undo.end_records(turn)
        except AccessError as error:
            if not error.operation.startswith("ssm:"):
                raise
            # Another resource may own the tags, so they stay.
            self.log.warning(f"images and tags stay, because their owners cannot be read: {error.explain()}")

    def _turn(self, event: Event, declaration: Declaration) -> Turn:
        return Turn(event, declaration, self.connect(declaration), self.log)

    def _publish(self, turn: Turn) -> Response:
        refuse_removal_elsewhere(turn.declaration, turn.ports.destination)
        content, found = self._resolve_and_look(turn)
        plan = self._plan(turn, content, found)
        try:
            self._execute(turn, plan, lambda: _check_unmoved(turn, plan))
        except (MissingContentError, _TagsMovedError) as error:
            # Another resource may have removed a layer or child, or moved a tag, since this request looked.
            content = self._resolve(turn)
            again = self._plan(turn, content)
            if again == plan and isinstance(error, MissingContentError):
                raise
            self._execute(turn, again, lambda: self._check_again(turn, again))
        data = {**_attributes(content.root, turn.ports.destination), "SkippedTags": _joined(sorted(turn.left))}
        return Response(physical_resource_id=turn.physical_id, data=data)

    def _execute(self, turn: Turn, plan: Plan, before_tags: Callable[[], None]) -> None:
        repository = turn.ports.destination
        self.log.info(f"plan for {repository.name}: {plan}", repository=str(repository.repository), **plan.summary())
        execute(plan, repository, self.log, turn.ports.undoing, self.progress, before_tags)

    def _check_again(self, turn: Turn, plan: Plan) -> None:
        """
        Check once more before the second attempt puts tags, unless it is an undo, which must not stop.

        Raises:
            ConflictError: A tag has moved again.
        """
        try:
            _check_unmoved(turn, plan)
        except _TagsMovedError as error:
            if self._is_undo(turn):
                return
            message = "tags that rules protect were moved twice while this release was checked"
            hint = "deploy again, when the other release has ended"
            raise ConflictError(message, operation="ecr-public:PutImage", hint=hint) from error

    def _plan(self, turn: Turn, content: Content, found: Mapping[str, Digest] | None = None) -> Plan:
        """
        Check the request, write the record that it needs, and return the plan.

        Args:
            found: Where the declared tags point, if that was just read.
        """
        declaration, repository = turn.declaration, turn.ports.destination
        observed = observe(content, declaration.tags, repository, signs=declaration.signing is not None, found=found)
        desired = desire(
            declaration,
            content,
            self._judge(turn, content, observed),
            confirm=_possibly_stale_tags(turn),
            # Without a tag, another resource that is deleted may be removing the image.
            confirm_image=not turn.tags,
            signatures=self._signatures(turn, content, observed),
        )
        # This call only checks: nothing may be written before, not even the record.
        make_plan(desired, observed)
        shared = recording.write_record(turn, content, observed)
        return make_plan(replace(desired, confirm=desired.confirm | frozenset(shared)), observed)

    def _resolve_and_look(self, turn: Turn) -> tuple[Content, Mapping[str, Digest] | None]:
        """
        Read the declared image and, at the same time, where its tags point.

        If that takes longer than a request, others may have moved the tags, so
        they are read again. A copy takes longer.
        """
        if turn.declaration.source.copies:
            return self._resolve(turn), None
        repository, began = turn.ports.destination, turn.ports.now
        with ThreadPoolExecutor(1) as pool:
            tags = pool.submit(repository.resolve, turn.declaration.tags)
            content, found = self._resolve(turn), tags.result()
        return content, found if turn.ports.now - began < AT_ONCE_SECONDS else None

    def _resolve(self, turn: Turn) -> Content:
        """
        Read the declared image.

        In an undo, and in an update that changes nothing about the image, this is the
        image that was deployed, even if its source is gone or has changed.

        Raises:
            NotFoundError: The record does not contain the deployed image, or the image is gone.
        """
        pinned = turn.declaration.pinned
        if pinned is None:
            try:
                # If only the timeout differs, both declarations share an entry of the record, which an undo needs.
                if turn.is_undo or declaration_key(turn.event.old_properties) == declaration_key(turn.event.properties):
                    return self._deployed(turn, deployed_digest(turn))
            except NotFoundError:
                if turn.is_undo:
                    raise
            return resolve(turn.declaration, turn.ports)
        # Reading a source that limits its rate would delay an undo until it fails.
        if self._can_do_without_source(turn, pinned) and self._is_undo(turn):
            return self._deployed(turn, pinned)
        try:
            content = resolve(turn.declaration, turn.ports)
        except ImageError:
            if not self._is_undo(turn) or turn.ports.destination.missing_images([pinned]):
                raise
            return self._deployed(turn, pinned)
        if content.root.digest == pinned or not self._is_undo(turn):
            return content
        return self._deployed(turn, pinned)

    def _can_do_without_source(self, turn: Turn, pinned: Digest) -> bool:
        """Whether an update declares an image from elsewhere that the destination has, too."""
        is_update = turn.event.request_type is RequestType.UPDATE
        return is_update and turn.declaration.source.copies and not turn.ports.destination.missing_images([pinned])

    def _deployed(self, turn: Turn, digest: Digest) -> Content:
        destination = turn.ports.destination
        self.log.info(f"publishing {digest}, which was deployed", imageDigest=str(digest))
        return content_in_destination(destination.manifest(digest, wait_seconds=PUT_SECONDS), destination, ())

    def _judge(self, turn: Turn, content: Content, observed: Observed) -> Verdict:
        """
        Ask the rules of the declaration.

        Whether the request is an undo is read only if that makes a difference: before
        a rule reads something, or when one objects.
        """
        verdict = judge_turn(turn, content, observed, lambda: self._is_undo(turn))
        for message in verdict.warnings:
            self.log.warning(message)
        for message in verdict.notes:
            self.log.info(message)
        return verdict

    def _signatures(self, turn: Turn, content: Content, observed: Observed) -> tuple[MissingSignature, ...]:
        """Return the signatures to make. An undo makes none, and nothing that it would read may stop it."""
        if turn.declaration.signing is None or self._is_undo(turn):
            return ()
        return missing_signatures(turn.declaration, content, observed, turn.ports)

    def _is_undo(self, turn: Turn) -> bool:
        """Whether an update undoes another one; also false if that cannot be read."""
        if turn.event.request_type is not RequestType.UPDATE:
            return False
        try:
            return turn.is_rollback or turn.reverses_failed_update
        except ImageError as error:
            # The response then reports the violation, which is more useful than this error.
            self.log.warning(f"not handled as a rollback: {error.explain()}")
            return False


class _TagsMovedError(Exception):
    """A tag of a rule points to another image than the rules have judged."""


def _check_unmoved(turn: Turn, plan: Plan) -> None:
    """
    Look once more at tags that may only move forward or never: copying, scans and signatures take minutes.

    PutImage has no condition, so a tag that moves after this call is not seen.

    Raises:
        _TagsMovedError: One of them has moved.
    """
    rules = turn.declaration.rules
    judged = {move.tag: move.before for move in plan.moves if turn.may_leave(move.tag) or is_protected(move.tag, rules)}
    if judged:
        found = turn.ports.destination.resolve(list(judged))
        if any(found.get(tag) != before for tag, before in judged.items()):
            raise _TagsMovedError


def deployed_digest(turn: Turn) -> Digest:
    """
    Return the digest that the declared source was resolved to when it was deployed.

    Raises:
        NotFoundError: No record contains it, or the record cannot be read.
    """
    try:
        digest = turn.record.deployed.get(declaration_key(turn.event.properties)) if turn.record else None
        cause = "no record contains it"
    except RemoteError as error:
        digest, cause = None, error.explain()
    if digest is None:
        message = (
            "this is a rollback, and the image that the source was resolved to at its deployment is not known: "
            f"{cause}; nothing was written"
        )
        hint = (
            "continue the rollback without this resource (cdk rollback --orphan LOGICAL_ID, or "
            "continue-update-rollback --resources-to-skip LOGICAL_ID), then deploy the image by its digest"
        )
        raise NotFoundError(message, operation="ssm:GetParameter", hint=hint)
    return digest


def _possibly_stale_tags(turn: Turn) -> Sequence[str]:
    """
    Return the tags whose reads may still show the state before the deployment.

    These are all tags of a Create, because an earlier deployment may just have
    been rolled back, and of an update that is an undo or changes the image or
    repository. Otherwise they are the new tags: another resource of the same
    deployment may just have moved them.
    """
    event, tags = turn.event, turn.declaration.tags
    changed = any(event.old_properties.get(name) != event.properties.get(name) for name in _IMAGE_PROPERTIES)
    if turn.old is None or changed or turn.is_undo:
        return tags
    return [tag for tag in tags if tag not in turn.old.tags]


def _joined(tags: Sequence[str]) -> str:
    """Join tags with commas, up to ``KEPT_TAGS_MAX_CHARACTERS``."""
    text = ",".join(tags)
    if len(text) <= KEPT_TAGS_MAX_CHARACTERS:
        return text
    shown = text[:KEPT_TAGS_MAX_CHARACTERS].rpartition(",")[0]
    return f"{shown},... ({len(tags)} in all)"


def _attributes(manifest: Manifest, repository: PublicRepository) -> dict[str, str]:
    """Return the attributes for ``Fn::GetAtt``. The manifest is not one of them: a response holds only 4,096 bytes."""
    return {
        "RegistryId": repository.registry_id,
        "RepositoryName": repository.name,
        "RepositoryUri": str(repository.repository),
        "ImageDigest": str(manifest.digest),
        "ImageManifestMediaType": manifest.media_type.value,
        "ImageUri": f"{repository.repository}@{manifest.digest}",
    }

"""``Custom::ECRPublicImage``: an image is in a public repository, under these tags."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace

from ..cfn.event import Event, RequestType
from ..cfn.lifecycle import Outcome
from ..errors import ImageError, RepositoryNotFoundError
from ..log import Log
from ..oci import Digest, Manifest
from ..publish.content import Content, present
from ..publish.execute import execute
from ..publish.observe import observe
from ..publish.plan import Desired, Observed, broken, make_plan
from ..publish.ports import Ports, PublicRepository
from ..spec import Declaration, Property, decode
from .memory import NOTHING, Memory
from .planning import desire, resolve
from .removal import Remover, refuse_removal_elsewhere

ID_PREFIX = "ecr-public:"

_PLACE = (Property.REGISTRY_ID, Property.REPOSITORY_NAME, Property.SOURCE, Property.PLATFORMS)
"""What an image and its repository are declared with."""

Connect = Callable[[Declaration], Ports]
"""Opens what a declaration is resolved and published with."""


@dataclass(frozen=True, slots=True)
class PublicImageResource:
    """The use case, between CloudFormation's lifecycle and the ports."""

    connect: Connect
    log: Log

    def owns(self, physical_resource_id: str) -> bool:
        """Whether the id is one of ours: neither a marker nor one that CloudFormation invented."""
        return physical_resource_id.startswith(ID_PREFIX)

    def create(self, event: Event) -> Outcome:
        """Publish what is declared."""
        declaration = decode(event.properties)
        ports = self.connect(declaration)
        try:
            return self._publish(event, declaration, ports)
        except ImageError:
            # Nothing was made, so nothing comes to delete it.
            if declaration.state_parameter:
                with suppress(ImageError):
                    _memory(declaration, ports).forget(_identity(event, ports.destination))
            raise

    def update(self, event: Event) -> Outcome:
        """
        Publish what is declared now, and then remove the tags that no longer are, where that is asked for.

        The plan comes from what the repository holds, not from the old
        properties: so a rollback (an Update the other way round) succeeds
        from any half-done state, and a duplicate does nothing.
        """
        declaration = decode(event.properties)
        ports = self.connect(declaration)
        outcome = self._publish(event, declaration, ports)
        # What is replaced lives on until it is deleted: a rollback may leave it as it is, without another update.
        if outcome.physical_resource_id == event.physical_resource_id:
            self._leave_claims(event, declaration, ports, Digest.parse(outcome.data["ImageDigest"]))
        if not declaration.untags:
            return outcome
        kept = self._remover(event, declaration, ports).untag_dropped(declaration, event.old_properties)
        return replace(outcome, data={**outcome.data, "KeptTags": ",".join(kept)}) if kept else outcome

    def delete(self, event: Event) -> None:
        """Touch nothing, unless deletion was declared: images outlive the stack that published them."""
        deletes = event.properties.get(Property.ON_DELETE) == "Delete"
        if not deletes:
            self.log.info("images and tags are kept", physicalResourceId=event.physical_resource_id)
        if not deletes and not event.properties.get(Property.STATE_PARAMETER_NAME):
            return
        declaration = decode(event.properties)
        ports = self.connect(declaration)
        memory = _memory(declaration, ports)
        try:
            if deletes:
                self._remover(event, declaration, ports).delete(declaration, event.properties)
        except RepositoryNotFoundError as error:
            self.log.info(f"nothing to delete: {error.message}", physicalResourceId=event.physical_resource_id)
        try:
            memory.forget(event.physical_resource_id)
        except ImageError as error:
            # What it is about is gone, or stays on purpose: no reason to hold the stack up.
            self.log.warning(f"the parameter {declaration.state_parameter} stays: {error.explain()}")

    def _leave_claims(self, event: Event, declaration: Declaration, ports: Ports, digest: Digest) -> None:
        """
        Leave in the parameter of the old properties what is claimed from now on.

        Nothing, where the claims of *declaration* are in another parameter.
        Where it has none any more, since nothing is removed from the
        repository any more: all it declares. What removed something until now
        may be deleted in this very deployment, after this.
        """
        name = event.old_properties.get(Property.STATE_PARAMETER_NAME)
        if not isinstance(name, str) or name == declaration.state_parameter:
            return
        memory = Memory(ports.parameters, name)
        try:
            if declaration.state_parameter:
                memory.release()
            else:
                memory.claim(
                    event.physical_resource_id,
                    event.properties,
                    declaration.tags,
                    digest,
                    may_remove=False,
                    made_by=None,
                )
        except ImageError as error:
            # All tags are put. A claim only ever forbids others to remove them: no reason to fail by now.
            self.log.warning(f"the claims in the parameter {name} stay: {error.explain()}")

    def _publish(self, event: Event, declaration: Declaration, ports: Ports) -> Outcome:
        repository = ports.destination
        refuse_removal_elsewhere(declaration, repository)
        remembered = _remembered(event, declaration, ports)
        content = self._resolve(declaration, ports, remembered)
        identity = _identity(event, repository)
        # Before looking and before writing: whoever removes tags at this moment must see that these are claimed.
        claim = _memory(declaration, ports).claim(
            identity,
            event.properties,
            declaration.tags,
            content.root.digest,
            may_remove=_may_remove(event),
            made_by=event.request_id if event.physical_resource_id != identity else None,
        )
        observed = observe(content, declaration.tags, repository)
        if claim.is_open:
            claim.settle(observed.tags, _existing(content, repository))
        confirm = declaration.tags if remembered is not None else _doubtful(event, declaration)
        desired = desire(declaration, content, confirm=confirm)
        if _may_restore(event, desired, observed, ports, self.log):
            desired = replace(desired, rules=tuple(rule for rule in desired.rules if not rule.yields_to_rollback))
        plan = make_plan(desired, observed)
        self.log.info(f"plan for {repository.name}: {plan}", repository=str(repository.repository), **plan.summary())
        execute(plan, repository, self.log, ports.undoing)
        return Outcome(identity, _attributes(content.root, repository))

    def _remover(self, event: Event, declaration: Declaration, ports: Ports) -> Remover:
        memory = _memory(declaration, ports)
        before = memory.before
        if before != NOTHING and not ports.is_rolling_back(event.stack_id):
            before = NOTHING
        return Remover(memory, before, ports.destination, self.log)

    def _resolve(self, declaration: Declaration, ports: Ports, remembered: Digest | None) -> Content:
        if remembered is not None:
            self.log.info(f"rolling back to {remembered}, as it was deployed", imageDigest=str(remembered))
            return present(ports.destination.manifest(remembered), ports.destination, ())
        return resolve(declaration, ports)


def _memory(declaration: Declaration, ports: Ports) -> Memory:
    return Memory(ports.parameters, declaration.state_parameter)


def _existing(content: Content, repository: PublicRepository) -> frozenset[Digest]:
    """Return the image if the repository holds it, or else those of its children that are there without it."""
    digests = {content.root.digest, *(child.digest for child in content.root.children)}
    digests |= {part.digest for part in content.parts}
    existing = frozenset(digests - repository.missing_images(digests - content.held))
    return existing & {content.root.digest} or existing


def _may_remove(event: Event) -> bool:
    """Whether this declaration may remove something, or the one to which a rollback returns."""
    return any(
        properties.get(Property.ON_TAG_REMOVED) == "Untag" or properties.get(Property.ON_DELETE) == "Delete"
        for properties in (event.properties, event.old_properties)
    )


def _remembered(event: Event, declaration: Declaration, ports: Ports) -> Digest | None:
    """Return what a rollback has to restore, where the declaration itself does not say it."""
    if event.request_type is not RequestType.UPDATE or declaration.pinned is not None:
        return None
    digest = _memory(declaration, ports).digest_of(event.properties)
    return digest if digest is not None and ports.is_rolling_back(event.stack_id) else None


def _may_restore(event: Event, desired: Desired, observed: Observed, ports: Ports, log: Log) -> bool:
    """Whether rules are broken after all that yield to a rollback, and this is one."""
    yielding = [rule for rule in desired.rules if rule.yields_to_rollback]
    if event.request_type is not RequestType.UPDATE or not any(broken(yielding, desired, observed)):
        return False
    try:
        return ports.is_rolling_back(event.stack_id)
    except ImageError as error:
        # The violation says more than that we could not ask.
        log.warning(f"taken for an update and no rollback: {error.explain()}")
        return False


def _doubtful(event: Event, declaration: Declaration) -> Collection[str]:
    """
    Return the tags that an update may see where they were before the deployment.

    All of another image or repository; else those that are new here: another
    resource may have had one of them until a moment ago.
    """
    old = event.old_properties
    if not old:
        return ()
    if any(old.get(name) != event.properties.get(name) for name in _PLACE):
        return declaration.tags
    tags = old.get(Property.IMAGE_TAGS)
    return set(declaration.tags) - set(tags if isinstance(tags, list) else ())


def _identity(event: Event, repository: PublicRepository) -> str:
    """
    Name the declaration: never a digest, a tag or anything random.

    So a new digest or tag is an update in place, and another registry or
    repository a replacement.
    """
    return f"{ID_PREFIX}{repository.registry_id}/{repository.name}:{event.logical_resource_id}"


def _attributes(manifest: Manifest, repository: PublicRepository) -> dict[str, str]:
    """Return what ``Fn::GetAtt`` reads; the manifest itself would not fit the answer's 4096 bytes."""
    return {
        "RegistryId": repository.registry_id,
        "RepositoryName": repository.name,
        "RepositoryUri": str(repository.repository),
        "ImageDigest": str(manifest.digest),
        "ImageManifestMediaType": manifest.media_type.value,
        "ImageUri": f"{repository.repository}@{manifest.digest}",
    }

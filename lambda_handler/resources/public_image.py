"""``Custom::ECRPublicImage``: an image is in a public repository, under these tags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..cfn.event import Event
from ..cfn.lifecycle import Outcome
from ..log import Log
from ..oci import Manifest
from ..publish.content import Content, platforms_of
from ..publish.execute import execute
from ..publish.observe import observe
from ..publish.plan import Desired, make_plan
from ..publish.ports import Ports, PublicRepository
from ..publish.referrers import with_referrers
from ..spec import Declaration, Property, decode

ID_PREFIX = "ecr-public:"

Connect = Callable[[Declaration], Ports]
"""Opens what a declaration is resolved and published with."""


@dataclass(frozen=True, slots=True)
class PublicImageResource:
    """The use case, between CloudFormation's lifecycle and the ports."""

    connect: Connect
    log: Log
    connect_to_undo: Connect | None = None

    def owns(self, physical_resource_id: str) -> bool:
        """Whether the id is one of ours: neither a marker nor one that CloudFormation invented."""
        return physical_resource_id.startswith(ID_PREFIX)

    def create(self, event: Event) -> Outcome:
        """Publish what is declared."""
        return self._publish(event)

    def update(self, event: Event) -> Outcome:
        """
        Publish what is declared now; a tag that is no longer declared stays.

        The plan comes from what the repository holds, not from the old
        properties: so a rollback (an Update the other way round) succeeds
        from any half-done state, and a duplicate does nothing.
        """
        return self._publish(event)

    def delete(self, event: Event) -> None:
        """Touch nothing: images outlive the stack that published them."""
        self.log.info("images and tags are kept", physicalResourceId=event.physical_resource_id)

    def _publish(self, event: Event) -> Outcome:
        declaration = decode(event.properties)
        ports = self.connect(declaration)
        repository = ports.destination
        content = declaration.source.resolve(ports, declaration.platforms)
        if declaration.include_referrers:
            content = with_referrers(content)
        desired = _desired(declaration, content, confirm=_is_another_image(event))
        plan = make_plan(desired, observe(content, declaration.tags, repository))
        self.log.info(f"plan for {repository.name}: {plan}", repository=str(repository.repository), **plan.summary())
        undo = self.connect_to_undo
        execute(plan, repository, self.log, undo and (lambda: undo(declaration).destination))
        return Outcome(_identity(event, repository), _attributes(content.root, repository))


def _is_another_image(event: Event) -> bool:
    """Whether an update changes the image; then a read that shows its tags in place already may be stale."""
    return bool(event.old_properties) and any(
        event.old_properties.get(name) != event.properties.get(name) for name in (Property.SOURCE, Property.PLATFORMS)
    )


def _desired(declaration: Declaration, content: Content, *, confirm: bool) -> Desired:
    required = declaration.required_platforms
    return Desired(
        content=content,
        tags=declaration.tags,
        expected_digest=declaration.expected_digest,
        required_platforms=required,
        platforms=platforms_of(content.root, content.origin) if required else frozenset(),
        confirm=confirm,
    )


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

"""
What a deployment removes: the function's own rules, rehearsed.

CloudFormation deletes what is no longer declared, or was replaced, after
everything else has been put; so all that is put is there already when a
removal is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from .._assets.lambda_handler.errors import ImageError, RepositoryNotFoundError
from .._assets.lambda_handler.oci import Digest
from .._assets.lambda_handler.resources.memory import NOTHING, Claims, Memory
from .._assets.lambda_handler.resources.removal import Remover
from .._assets.lambda_handler.spec import Declaration, Property, decode
from .effect import Action, Effect, State, TagEffect, Writes, problems_of
from .images import Summary, summarize
from .intrinsics import unknowns
from .memories import Memories, claims_of, parameter_of, path_of
from .registry import Notices, Registry
from .rehearsal import Rehearsal
from .template import DELETION_POLICY, REPLACEMENT_POLICY, DeclaredImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    An image of the app.

    Attributes:
        deployed: What it is deployed as; None: it is not, or that is not known.
        effect: What becomes of it, without what is removed.
    """

    image: DeclaredImage
    deployed: DeclaredImage | None
    effect: Effect

    @property
    def may_replace(self) -> bool:
        """Whether it goes to another place than that where it is deployed, as far as the declarations tell."""
        if self.deployed is None or self.effect.state in {State.REFUSED, State.UNSEEN}:
            return False
        places = [_place(each) for each in (self.deployed, self.image)]
        return places[0] != places[1] and not any(unknowns(places))

    @property
    def claimant(self) -> DeclaredImage:
        """Which of the two says in which parameter it claims something: one that has none any more leaves the old."""
        return self.image if parameter_of(self.image) or self.deployed is None else self.deployed

    @property
    def puts(self) -> Mapping[str, Digest]:
        """The tags that it puts, each with its image."""
        tags = self.effect.tags if self.effect.state is State.CHANGED else ()
        return {tag.tag: Digest.parse(tag.after) for tag in tags if tag.after and tag.action is not Action.UNCHANGED}


@dataclass(frozen=True, slots=True)
class _Foreseen(Memory):
    """A memory in which everybody has claimed already what this deployment gives him."""

    digest: Digest | None
    claims: Claims

    def digest_of(self, properties: Mapping[str, object]) -> Digest | None:  # noqa: ARG002
        return self.digest

    def others(self) -> Claims:
        return self.claims


@dataclass
class Removals:
    """
    The removals of one deployment, one after the other.

    Attributes:
        changes: All that is declared.
        gone: What is deployed and no longer declared.
    """

    changes: Sequence[Change]
    gone: Sequence[DeclaredImage]
    registry: Registry
    _repositories: dict[str, Rehearsal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._memories = Memories(self.registry)

    def effects(self) -> list[Effect]:
        """Return the effects of all changes with the tags that they drop, and those of what is deleted."""
        changed = [self._untagged(change) for change in self.changes]
        replaced = [
            self._deleted(change.deployed, unless_in=change.effect.repository)
            for change in self.changes
            if change.deployed and change.may_replace and REPLACEMENT_POLICY not in change.deployed.outlives
        ]
        gone = [self._deleted(image) for image in self.gone if DELETION_POLICY not in image.outlives]
        return [*changed, *filter(None, replaced), *filter(None, gone)]

    def _untagged(self, change: Change) -> Effect:
        """Add the tags that are no longer declared, where they are to be removed."""
        effect, old = change.effect, change.deployed
        if old is None or effect.state not in {State.CHANGED, State.UNCHANGED} or old.template == change.image.template:
            return effect
        declaration = decode(change.image.properties)
        if not declaration.untags or list(unknowns(old.properties)):
            return effect
        try:
            removal = self._rehearse(old, lambda remover, _: remover.untag_dropped(declaration, old.properties))
        except ImageError as error:
            return replace(effect, state=State.UNSEEN, problems=problems_of(error))
        state = State.CHANGED if removal.tags else effect.state
        return replace(effect, state=state, tags=(*effect.tags, *removal.tags), notes=(*effect.notes, *removal.notes))

    def _deleted(self, image: DeclaredImage, unless_in: str = "") -> Effect | None:
        """
        Return what is removed with an image that is deleted; None: nothing.

        Args:
            unless_in: Where a replaced image goes to: in the very same repository it is the same resource.
        """
        if image.properties.get(Property.ON_DELETE) != "Delete":
            return None
        name = str(image.properties.get(Property.REPOSITORY_NAME, ""))
        effect = Effect(stack=image.stack, path=image.path, repository=name, state=State.UNKNOWN)
        if open_ends := sorted(set(map(str, unknowns(image.properties)))):
            return replace(effect, problems=tuple(f"only the deployment knows {each}" for each in open_ends))
        try:
            effect = replace(effect, repository=self._address(image))
            if effect.repository == unless_in:
                return None
            removal = self._rehearse(image, lambda remover, declaration: remover.delete(declaration, image.properties))
        except RepositoryNotFoundError:
            return None
        except ImageError as error:
            return replace(effect, state=State.UNSEEN, problems=problems_of(error))
        return removal.of(effect)

    def _address(self, image: DeclaredImage) -> str:
        ports = self.registry.ports(decode(image.properties), account=image.account)
        return str(ports.destination.repository)

    def _rehearse(self, image: DeclaredImage, remove: Callable[[Remover, Declaration], object]) -> _Removal:
        """
        Remove what is deployed as *image* from the rehearsed repository.

        Raises:
            ImageError: It cannot be seen what that would be.
        """
        declaration = decode(image.properties)
        repository = self.registry.ports(declaration, account=image.account).destination
        address, notes = str(repository.repository), list[str]()
        before = self._repositories.get(address) or Rehearsal(repository, self._put_in(address))
        self._repositories[address] = after = Rehearsal(before)
        digest = declaration.pinned or self._memories.digest_of(image)
        memory = _Foreseen(self._memories.of(image).parameters, parameter_of(image), digest, self._claims(image))
        remove(Remover(memory, NOTHING, after, Notices(notes.append)), declaration)
        return _Removal(after, tuple(notes))

    def _put_in(self, address: str) -> dict[str, Digest]:
        changes = [change for change in self.changes if change.effect.repository == address]
        return {tag: digest for change in changes for tag, digest in change.puts.items()}

    def _claims(self, image: DeclaredImage) -> Claims:
        """Return what others will have: those of the app as it is declared, and all others as they are."""
        app = [change.image for change in self.changes]
        deployed = [change.deployed for change in self.changes if change.deployed]
        of_others = self._memories.claims(image, {parameter_of(each) for each in (*app, *deployed, *self.gone)})
        neighbours = [change for change in self.changes if _is_neighbour(change.claimant, image)]
        of_app = claims_of([(_tags(change.image), _digest(change.effect)) for change in neighbours])
        return Claims(tags={**of_others.tags, **of_app.tags}, digests=of_others.digests | of_app.digests)


@dataclass(frozen=True, slots=True)
class _Removal:
    """
    What was removed in a rehearsal.

    Attributes:
        notes: What stays, and why.
    """

    rehearsal: Rehearsal
    notes: tuple[str, ...]

    @property
    def tags(self) -> tuple[TagEffect, ...]:
        """The tags that go."""
        return tuple(
            TagEffect(tag=tag, action=Action.REMOVE, before=str(digest), after=None)
            for tag, digest in self.rehearsal.removed.items()
        )

    def of(self, effect: Effect) -> Effect | None:
        """Complete the effect of what is deleted; None: nothing is removed, and nothing stays that could have been."""
        deletes = tuple(map(str, self.rehearsal.deleted))
        if not (self.tags or deletes or self.notes):
            return None
        return replace(
            effect,
            state=State.CHANGED if self.tags or deletes else State.UNCHANGED,
            tags=self.tags,
            writes=Writes(deletes=deletes),
            images={summary.digest: summary for summary in self._summaries()},
            notes=self.notes,
        )

    def _summaries(self) -> Iterator[Summary]:
        repository = self.rehearsal
        for digest in dict.fromkeys(repository.removed.values()):
            # Where it is gone by now, there is nothing to say of it.
            with suppress(ImageError):
                yield summarize(repository.manifest(digest), repository.manifest, lambda _: repository)


def _place(image: DeclaredImage) -> list[object]:
    return [image.properties.get(name) for name in (Property.REGISTRY_ID, Property.REPOSITORY_NAME)]


def _is_neighbour(one: DeclaredImage, other: DeclaredImage) -> bool:
    """Whether two images see each other's claims: below one path, in one account and Region, and not the same."""
    places = [(image.account, image.region, path_of(image)) for image in (one, other)]
    return places[0] == places[1] and parameter_of(one) != parameter_of(other) and bool(path_of(one))


def _tags(image: DeclaredImage) -> list[str]:
    tags = image.properties.get(Property.IMAGE_TAGS)
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _digest(effect: Effect) -> Digest | None:
    return Digest.parse(effect.digest) if effect.digest else None

"""
Predict what a deployment will do to the registry.

The declarations come from the synthesized app, and the plan from the planner
of the function. The writes after it are simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from .._assets.lambda_handler.concurrency import map_concurrently
from .._assets.lambda_handler.errors import (
    AccessError,
    ImageError,
    InvalidPropertiesError,
    NotFoundError,
    RuleViolationError,
)
from .._assets.lambda_handler.oci import Digest, Manifest
from .._assets.lambda_handler.publish.content import Content, content_in_destination
from .._assets.lambda_handler.publish.differences import UNANSWERED
from .._assets.lambda_handler.publish.limits import LIMITS
from .._assets.lambda_handler.publish.observe import observe
from .._assets.lambda_handler.publish.plan import Observed, Plan, make_plan
from .._assets.lambda_handler.publish.ports import MissingSignature, PublicRepository, SourcePorts
from .._assets.lambda_handler.publish.rule import Verdict, judge
from .._assets.lambda_handler.resources.judging import judge_turn
from .._assets.lambda_handler.resources.planning import (
    desire,
    missing_signatures,
    refuse_removal_elsewhere,
    release_of,
    resolve,
)
from .._assets.lambda_handler.resources.public_image import deployed_digest
from .._assets.lambda_handler.resources.record_names import declaration_key
from .._assets.lambda_handler.resources.recording import existing_tags, write_record
from .._assets.lambda_handler.resources.turn import Turn
from .._assets.lambda_handler.spec import Declaration
from .app.assembly import Assembly
from .app.declared import DeclaredImage
from .change import Change, tags_of
from .effect import MAX_CONCURRENT_IMAGES, NOT_BUILT, Action, Effect, State, TagEffect, Writes, problems_of
from .fullness import warn_of_fullness
from .images import Summary, summarize
from .live.deployed import DeployedStacks
from .live.registry import Registry
from .removals import Removals
from .turns import Turns
from .untouched import effect_if_unchanged


def find_effects(
    assembly: Assembly, registry: Registry, done: Callable[[Effect], None] = lambda _: None
) -> list[Effect]:
    """
    Predict the effects of deploying *assembly*, several images concurrently.

    With AWS credentials, the deployed declarations are read, too. They show for
    which images CloudFormation sends no request, and which tags are removed or
    taken over.

    Args:
        done: Is called with each effect, by any thread.
    """
    stacks = DeployedStacks(registry, assembly)
    turns = Turns(registry)

    def find(image: DeclaredImage) -> Change:
        change = _find(image, stacks, turns)
        done(change.effect)
        return change

    registry.find_repositories(assembly.images)
    # This reads each stack once, before several of its images need it at the same time.
    map_concurrently(stacks.images, assembly.stacks, max_workers=MAX_CONCURRENT_IMAGES)
    changes = map_concurrently(find, assembly.images, max_workers=MAX_CONCURRENT_IMAGES)
    return Removals(changes, list(stacks.gone()), turns).effects()


def _find(image: DeclaredImage, stacks: DeployedStacks, turns: Turns) -> Change:
    """Predict the effect on an image, without removals."""
    deployed = stacks.image(image)
    name = str(image.properties.get("RepositoryName", ""))
    effect = Effect(stack=image.stack, path=image.path, repository=name, state=State.UNKNOWN)
    change = Change(image=image, deployed=deployed, effect=effect)
    if deployed is not None and deployed.declares_the_same(image):
        effect = _reviewed(change, turns).effect
        if deployed.unknowns and not image.unknowns:
            effect = _maybe_unnoticed(effect, deployed)
        else:
            effect = effect_if_unchanged(effect, image, turns.registry)
        return Change(image=image, deployed=deployed, effect=effect)
    return _reviewed(change, turns, is_sent=stacks.knows(image))


def _maybe_unnoticed(effect: Effect, deployed: DeclaredImage) -> Effect:
    """Make the effect unknown if there is a change that CloudFormation may not notice."""
    if effect.state not in {State.CHANGED, State.REFUSED}:
        return effect
    problems = (*effect.problems, *deployed.unknowns)
    return replace(effect, state=State.UNKNOWN, tags=(), writes=Writes(), images={}, problems=problems)


def _reviewed(change: Change, turns: Turns, *, is_sent: bool = False) -> Change:
    """
    Plan the declared image.

    Args:
        is_sent: Whether it is known which request CloudFormation will send.
    """
    image = change.image
    if image.unknowns:
        return change.with_effect(problems=image.unknowns)
    try:
        declaration = image.declaration
        ports = turns.registry.ports(declaration, account=image.account, is_pending=image.created_here)
        change = change.with_effect(repository=str(ports.destination.repository))
        if not is_sent:
            return _warned(_planned(change, declaration, ports), ports, turns)
        try:
            turn = turns.update(change.deployed, image) if change.deployed else turns.create(image)
        except ImageError as error:
            return _without_record(_planned(change, declaration, ports), declaration, error)
        return _warned(_planned(replace(change, turn=turn), declaration, turn.ports), turn.ports, turns)
    except ImageError as error:
        if isinstance(error, NotFoundError) and image.built_here:
            return change.with_effect(problems=(NOT_BUILT,))
        state = State.UNSEEN if isinstance(error, UNANSWERED) else State.REFUSED
        return change.with_effect(state=state, problems=problems_of(error))


def _warned(change: Change, ports: SourcePorts, turns: Turns) -> Change:
    """Add a warning if the repository is nearly full."""
    near = tuple(warn_of_fullness(ports.destination, change.effect.writes, turns.registry))
    return change.with_effect(warnings=(*change.effect.warnings, *near)) if near else change


def _without_record(change: Change, declaration: Declaration, error: ImageError) -> Change:
    """Make the effect unseen if tags may be removed from an image that is not known."""
    dropped = set(tags_of(change.deployed) if change.deployed else ()).difference(declaration.tags)
    if change.plan is None or not (declaration.untags and dropped):
        return change
    return change.with_effect(state=State.UNSEEN, problems=problems_of(error))


def _planned(change: Change, declaration: Declaration, ports: SourcePorts) -> Change:
    repository, turn = ports.destination, change.turn
    refuse_removal_elsewhere(declaration, repository)
    content = (_kept(turn) if turn else None) or resolve(declaration, ports)
    observed = observe(content, declaration.tags, repository, signs=declaration.signing is not None)
    change = change.with_effect(digest=str(content.root.digest))
    verdict = _verdict(declaration, content, observed, change.turn, ports)
    tags = tuple(_tags(declaration, content, observed, verdict))
    change = change.with_effect(tags=tags, warnings=verdict.warnings)
    try:
        signatures, unknown = _signatures(declaration, content, observed, ports)
        plan = make_plan(desire(declaration, content, verdict, signatures=signatures), observed)
        taken = existing_tags(turn, observed) if turn else {}
        if turn:
            write_record(turn, content, observed)
    except (RuleViolationError, InvalidPropertiesError) as error:
        change = change.with_effect(state=State.REFUSED, problems=problems_of(error))
    else:
        state = State.UNCHANGED if plan.is_empty else State.CHANGED
        notes = (*verdict.notes, *unknown)
        effect = change.with_effect(state=state, writes=_writes(plan, repository), notes=notes)
        change = replace(effect, plan=plan, taken=taken)
    if change.effect.state is State.UNCHANGED:
        return change
    return change.with_effect(images={summary.digest: summary for summary in _summaries(content, observed, repository)})


def _kept(turn: Turn) -> Content | None:
    """Return the deployed image, if an update changes nothing about it: then a source that has moved is not read."""
    event, repository = turn.event, turn.ports.destination
    if turn.declaration.pinned or declaration_key(event.old_properties) != declaration_key(event.properties):
        return None
    try:
        return content_in_destination(repository.manifest(deployed_digest(turn)), repository, ())
    except NotFoundError:
        return None


def _verdict(
    declaration: Declaration, content: Content, observed: Observed, turn: Turn | None, ports: SourcePorts
) -> Verdict:
    """Ask the rules. A tag that moves counts for the limit of tags, so the plan reads those that the image has."""
    repository, digest = ports.destination, content.root.digest
    if any(observed.tags.get(tag) != digest for tag in declaration.tags) and digest not in observed.missing_images:
        # Without credentials, this cannot be seen.
        with suppress(AccessError):
            repository.tags_read([digest])
    if turn is not None:
        return judge_turn(turn, content, observed, lambda: False)
    return judge((*declaration.rules, LIMITS), release_of(declaration, content, observed, ports))


def _signatures(
    declaration: Declaration, content: Content, observed: Observed, ports: SourcePorts
) -> tuple[tuple[MissingSignature, ...], tuple[str, ...]]:
    """Return the signatures that will be made; or why they are not known, because only the function may use the key."""
    try:
        return missing_signatures(declaration, content, observed, ports), ()
    except AccessError as error:
        return (), (f"it is not known whether the image will be signed, or is signed already: {error.explain()}",)


def _tags(declaration: Declaration, content: Content, observed: Observed, verdict: Verdict) -> Iterator[TagEffect]:
    after = content.root.digest
    for tag in declaration.tags:
        before = observed.tags.get(tag)
        if why := verdict.stays.get(tag, ""):
            yield TagEffect(tag=tag, action=Action.SKIP, before=str(before), after=str(before), reason=why)
            continue
        action = Action.CREATE if before is None else Action.UNCHANGED if before == after else Action.MOVE
        yield TagEffect(tag=tag, action=action, before=str(before) if before else None, after=str(after))


def _writes(plan: Plan, repository: PublicRepository) -> Writes:
    # Putting a tag also puts its image, which may not exist yet.
    is_put = plan.put_image or bool(plan.moves and repository.missing_images([plan.manifest.digest]))
    return Writes(
        blobs={str(copy.blob.digest): copy.blob.size for copy in plan.blobs},
        manifests=(*(str(part.digest) for part in plan.parts), *([str(plan.manifest.digest)] if is_put else [])),
        referrers=tuple(str(manifest.digest) for manifest, _ in plan.referrers),
        referrer_tags=tuple(tag for _, tag in plan.referrers if tag),
        signatures=tuple(str(signature.image.digest) for signature in plan.signatures),
    )


def _summaries(content: Content, observed: Observed, repository: PublicRepository) -> Iterator[Summary]:
    """Summarize the image, and those that its tags point to now."""
    parts = {part.digest: part for part in content.parts}

    def read(digest: Digest) -> Manifest:
        return parts.get(digest) or repository.manifest(digest)

    yield summarize(content.root, read, lambda digest: content.origins.get(digest, content.origin))
    for digest in dict.fromkeys(observed.tags.values()):
        if digest != content.root.digest:
            # The image may have been deleted in the meantime.
            with suppress(ImageError):
                yield summarize(repository.manifest(digest), repository.manifest, lambda _: repository)

"""
What a deployment will do to the registry, found out before it does.

The declarations come from the synthesized app, and the plan from the very
planner that the function uses. What follows from it is rehearsed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from .._assets.lambda_handler.concurrency import map_concurrently
from .._assets.lambda_handler.errors import ImageError, InvalidPropertiesError, NotFoundError, RuleViolationError
from .._assets.lambda_handler.oci import Digest, Manifest
from .._assets.lambda_handler.publish.content import Content
from .._assets.lambda_handler.publish.observe import observe
from .._assets.lambda_handler.publish.plan import Observed, Plan, make_plan
from .._assets.lambda_handler.publish.ports import PublicRepository, SourcePorts
from .._assets.lambda_handler.resources.memory import existing_tags, remember
from .._assets.lambda_handler.resources.planning import desire, resolve
from .._assets.lambda_handler.resources.undo import refuse_removal_elsewhere
from .._assets.lambda_handler.spec import Declaration, decode
from .app.assembly import Assembly
from .app.declared import DeclaredImage
from .change import Change, tags_of
from .effect import AT_ONCE, NOT_BUILT, UNANSWERED, Action, Effect, State, TagEffect, Writes, problems_of
from .images import Summary, summarize
from .live.deployed import DeployedStacks
from .live.registry import Registry
from .removals import Removals
from .turns import Turns
from .untouched import left_alone


def find_effects(
    assembly: Assembly, registry: Registry, done: Callable[[Effect], None] = lambda _: None
) -> list[Effect]:
    """
    Find out what deploying *assembly* will do, several images at once.

    With credentials it is also known what is deployed now: an unchanged
    declaration is no event to CloudFormation, tags that are dropped from
    one may be removed, and others are taken over.

    Args:
        done: Called with each effect as soon as it is known, by any thread.
    """
    stacks = DeployedStacks(registry, assembly)
    turns = Turns(registry)

    def find(image: DeclaredImage) -> Change:
        change = _find(image, stacks, turns)
        done(change.effect)
        return change

    # Each once, before several images of one ask for it at the same time.
    map_concurrently(stacks.images, assembly.stacks, max_workers=AT_ONCE)
    changes = map_concurrently(find, assembly.images, max_workers=AT_ONCE)
    return Removals(changes, list(stacks.gone()), turns).effects()


def _find(image: DeclaredImage, stacks: DeployedStacks, turns: Turns) -> Change:
    """Find out what becomes of an image, without what is removed."""
    deployed = stacks.image(image)
    name = str(image.properties.get("RepositoryName", ""))
    effect = Effect(stack=image.stack, path=image.path, repository=name, state=State.UNKNOWN)
    change = Change(image=image, deployed=deployed, effect=effect)
    if deployed is not None and deployed.declares_the_same(image):
        effect = _looked_at(change, turns).effect
        if deployed.unknowns and not image.unknowns:
            effect = _in_doubt(effect, deployed)
        else:
            effect = left_alone(effect, image, turns.registry)
        return Change(image=image, deployed=deployed, effect=effect)
    return _looked_at(change, turns, is_sent=stacks.tells_of(image))


def _in_doubt(effect: Effect, deployed: DeclaredImage) -> Effect:
    """Say that it is not known whether CloudFormation will notice a change, where there is one to be noticed."""
    if effect.state not in {State.CHANGED, State.REFUSED}:
        return effect
    problems = (*effect.problems, *deployed.unknowns)
    return replace(effect, state=State.UNKNOWN, tags=(), writes=Writes(), images={}, problems=problems)


def _looked_at(change: Change, turns: Turns, *, is_sent: bool = False) -> Change:
    """
    Plan what is declared.

    Args:
        is_sent: It is known which request CloudFormation will send.
    """
    image = change.image
    if image.unknowns:
        return change.having(problems=image.unknowns)
    try:
        declaration = decode(image.properties)
        ports = turns.registry.ports(declaration, account=image.account, is_coming=image.created_here)
        change = change.having(repository=str(ports.destination.repository))
        if not is_sent:
            return _planned(change, declaration, ports)
        try:
            turn = turns.update(change.deployed, image) if change.deployed else turns.create(image)
        except ImageError as error:
            return _hidden(_planned(change, declaration, ports), declaration, error)
        return _planned(replace(change, turn=turn), declaration, turn.ports)
    except ImageError as error:
        if isinstance(error, NotFoundError) and image.built_here:
            return change.having(problems=(NOT_BUILT,))
        state = State.UNSEEN if isinstance(error, UNANSWERED) else State.REFUSED
        return change.having(state=state, problems=problems_of(error))


def _hidden(change: Change, declaration: Declaration, error: ImageError) -> Change:
    """Say that tags may be removed, where it may not be read of which image."""
    dropped = set(tags_of(change.deployed) if change.deployed else ()).difference(declaration.tags)
    if change.plan is None or not (declaration.untags and dropped):
        return change
    return change.having(state=State.UNSEEN, problems=problems_of(error))


def _planned(change: Change, declaration: Declaration, ports: SourcePorts) -> Change:
    repository, turn = ports.destination, change.turn
    refuse_removal_elsewhere(declaration, repository)
    content = resolve(declaration, ports)
    observed = observe(content, declaration.tags, repository)
    change = change.having(digest=str(content.root.digest), tags=tuple(_tags(declaration, content, observed)))
    try:
        plan = make_plan(desire(declaration, content), observed)
        taken = existing_tags(turn, observed) if turn else {}
        if turn:
            remember(turn, content, observed)
    except (RuleViolationError, InvalidPropertiesError) as error:
        change = change.having(state=State.REFUSED, problems=problems_of(error))
    else:
        state = State.UNCHANGED if plan.is_empty else State.CHANGED
        change = replace(change.having(state=state, writes=_writes(plan, repository)), plan=plan, taken=taken)
    if change.effect.state is State.UNCHANGED:
        return change
    return change.having(images={summary.digest: summary for summary in _summaries(content, observed, repository)})


def _tags(declaration: Declaration, content: Content, observed: Observed) -> Iterator[TagEffect]:
    after = content.root.digest
    for tag in declaration.tags:
        before = observed.tags.get(tag)
        action = Action.CREATE if before is None else Action.UNCHANGED if before == after else Action.MOVE
        yield TagEffect(tag=tag, action=action, before=str(before) if before else None, after=str(after))


def _writes(plan: Plan, repository: PublicRepository) -> Writes:
    # A tag brings its image along; it is not known yet whether it exists.
    is_put = plan.put_image or bool(plan.moves and repository.missing_images([plan.manifest.digest]))
    return Writes(
        blobs={str(copy.blob.digest): copy.blob.size for copy in plan.blobs},
        manifests=(*(str(part.digest) for part in plan.parts), *([str(plan.manifest.digest)] if is_put else [])),
        referrers=tuple(str(manifest.digest) for manifest, _ in plan.referrers),
        referrer_tags=tuple(tag for _, tag in plan.referrers if tag),
    )


def _summaries(content: Content, observed: Observed, repository: PublicRepository) -> Iterator[Summary]:
    """Look at the image, and at those that its tags point to."""
    parts = {part.digest: part for part in content.parts}

    def read(digest: Digest) -> Manifest:
        return parts.get(digest) or repository.manifest(digest)

    yield summarize(content.root, read, lambda digest: content.origins.get(digest, content.origin))
    for digest in dict.fromkeys(observed.tags.values()):
        if digest != content.root.digest:
            # It was there a moment ago; where it is gone by now, there is nothing to say of it.
            with suppress(ImageError):
                yield summarize(repository.manifest(digest), repository.manifest, lambda _: repository)

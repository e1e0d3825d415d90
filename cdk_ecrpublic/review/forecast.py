"""
What a deployment will do to the registry, found out before it does.

The declarations come from the synthesized app, and the plan from the very
planner that the function uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from .._assets.lambda_handler.errors import ImageError, NotFoundError, RuleViolationError
from .._assets.lambda_handler.oci import Digest, Manifest
from .._assets.lambda_handler.publish.content import Content
from .._assets.lambda_handler.publish.observe import observe
from .._assets.lambda_handler.publish.plan import Observed, Plan, make_plan
from .._assets.lambda_handler.publish.ports import PublicRepository
from .._assets.lambda_handler.resources.planning import desire, resolve
from .._assets.lambda_handler.resources.removal import refuse_removal_elsewhere
from .._assets.lambda_handler.side_by_side import side_by_side
from .._assets.lambda_handler.spec import Declaration, decode
from .assembly import Assembly
from .deployed import DeployedStacks
from .effect import AT_ONCE, UNANSWERED, Action, Effect, State, TagEffect, Writes, problems_of
from .images import Summary, summarize
from .intrinsics import unknowns
from .registry import Registry, ReviewPorts
from .removals import Change, Removals
from .template import DeclaredImage
from .untouched import left_alone


def find_effects(
    assembly: Assembly, registry: Registry, done: Callable[[Effect], None] = lambda _: None
) -> list[Effect]:
    """
    Find out what deploying *assembly* will do, several images at once.

    With credentials it is also known what is deployed now: an unchanged
    declaration is no event to CloudFormation, and tags that are dropped from
    one may be removed.

    Args:
        done: Called with each effect as soon as it is known, by any thread.
    """
    stacks = DeployedStacks(registry, assembly)

    def find(image: DeclaredImage) -> Change:
        deployed = stacks.image(image)
        effect = find_effect(image, registry, deployed)
        done(effect)
        return Change(image=image, deployed=deployed, effect=effect)

    # Each once, before several images of one ask for it at the same time.
    side_by_side(stacks.images, assembly.stacks, at_once=AT_ONCE)
    changes = side_by_side(find, assembly.images, at_once=AT_ONCE)
    return Removals(changes, list(stacks.gone()), registry).effects()


def find_effect(declared: DeclaredImage, registry: Registry, deployed: DeclaredImage | None = None) -> Effect:
    """
    Find out what deploying *declared* will do, without what it removes.

    Args:
        deployed: What it is deployed as; None: it is not, or that is not known.
    """
    effect = _found(declared, registry)
    is_untouched = deployed is not None and deployed.template == declared.template
    return left_alone(effect, declared, registry) if is_untouched else effect


def _found(declared: DeclaredImage, registry: Registry) -> Effect:
    name = str(declared.properties.get("RepositoryName", ""))
    effect = Effect(stack=declared.stack, path=declared.path, repository=name, state=State.UNKNOWN)
    if open_ends := sorted(set(map(str, unknowns(declared.properties)))):
        return replace(effect, problems=tuple(f"only the deployment knows {each}" for each in open_ends))
    try:
        declaration = decode(declared.properties)
        ports = registry.ports(declaration, account=declared.account, is_coming=declared.created_here)
        effect = replace(effect, repository=str(ports.destination.repository))
        return _planned(effect, declaration, ports)
    except NotFoundError as error:
        if declared.built_here:
            return replace(effect, problems=("only the deployment builds and pushes the image",))
        return replace(effect, state=State.REFUSED, problems=problems_of(error))
    except UNANSWERED as error:
        return replace(effect, state=State.UNSEEN, problems=problems_of(error))
    except ImageError as error:
        return replace(effect, state=State.REFUSED, problems=problems_of(error))


def _planned(effect: Effect, declaration: Declaration, ports: ReviewPorts) -> Effect:
    repository = ports.destination
    refuse_removal_elsewhere(declaration, repository)
    content = resolve(declaration, ports)
    observed = observe(content, declaration.tags, repository)
    effect = replace(effect, digest=str(content.root.digest), tags=tuple(_tags(declaration, content, observed)))
    try:
        plan = make_plan(desire(declaration, content), observed)
    except RuleViolationError as error:
        effect = replace(effect, state=State.REFUSED, problems=error.violations)
    else:
        effect = replace(
            effect, state=State.UNCHANGED if plan.is_empty else State.CHANGED, writes=_writes(plan, repository)
        )
    if effect.state is State.UNCHANGED:
        return effect
    return replace(effect, images={summary.digest: summary for summary in _summaries(content, observed, repository)})


def _tags(declaration: Declaration, content: Content, observed: Observed) -> Iterator[TagEffect]:
    after = content.root.digest
    for tag in declaration.tags:
        before = observed.tags.get(tag)
        action = Action.CREATE if before is None else Action.UNCHANGED if before == after else Action.MOVE
        yield TagEffect(tag=tag, action=action, before=str(before) if before else None, after=str(after))


def _writes(plan: Plan, repository: PublicRepository) -> Writes:
    # A tag brings its image along; nobody has looked yet whether it is there already.
    is_put = plan.put_image or bool(plan.moves and repository.missing_images([plan.manifest.digest]))
    return Writes(
        blobs={str(copy.blob.digest): copy.blob.size for copy in plan.blobs},
        manifests=(*(str(part.digest) for part in plan.parts), *([str(plan.manifest.digest)] if is_put else [])),
        referrers=tuple(str(manifest.digest) for manifest, _ in plan.referrers),
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

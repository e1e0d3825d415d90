"""One run: compare each deployed image with the registry, and put its tags back if that is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ..concurrency import map_concurrently
from ..errors import ImageError, NotFoundError
from ..log import Log
from ..oci import Digest
from ..publish.content import content_in_destination
from ..publish.differences import UNANSWERED, image_differences
from ..publish.execute import execute
from ..publish.observe import observe
from ..publish.plan import make_plan
from ..publish.rule import judge
from ..resources.judging import tags_ahead
from ..resources.planning import desire, release_of
from .ports import DeployedImage, Deployment, MonitoredStack
from .state import Finding

MAX_CONCURRENT_IMAGES = 8

BEGAN = "a deployment began while the tags were put back; the next run looks again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    What a run has found.

    Attributes:
        is_deploying: Whether a stack is being deployed; it has no findings.
    """

    findings: Sequence[Finding]
    is_deploying: bool

    @property
    def is_complete(self) -> bool:
        """Whether every image was looked at."""
        return not self.is_deploying and not any(each.is_stack and each.problem for each in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    A run for some stacks.

    Attributes:
        repairs: Whether tags are put back.
    """

    stacks: Sequence[MonitoredStack]
    log: Log
    repairs: bool = False

    def find(self) -> Result:
        """Compare all images."""
        found = [self._of_stack(stack) for stack in self.stacks]
        return Result(
            findings=[finding for findings in found for finding in findings or ()], is_deploying=None in found
        )

    def _of_stack(self, stack: MonitoredStack) -> list[Finding] | None:
        """Return the findings of a stack; None while it is being deployed."""
        try:
            deployment = stack.read()
            if not deployment.version:
                return self._skip(stack)
            findings = map_concurrently(_compare, deployment.images, max_workers=MAX_CONCURRENT_IMAGES)
            # A deployment that was faster than the comparison changes both sides of it.
            is_news = bool(deployment.problems) or any(each.differences or each.problem for each in findings)
            if is_news and stack.version() != deployment.version:
                return self._skip(stack)
            if self.repairs:
                pairs = zip(deployment.images, findings, strict=True)
                findings = [self._repaired(stack, deployment, *pair) for pair in pairs]
        except ImageError as error:
            return [Finding(owner=stack.name, is_stack=True, problem=error.explain())]
        unknown = [Finding(owner=owner, problem=why) for owner, why in deployment.problems.items()]
        return [*findings, *unknown, Finding(owner=stack.name, is_stack=True)]

    def _skip(self, stack: MonitoredStack) -> list[Finding] | None:
        self.log.info(f"stack {stack.name} is being deployed; the next run compares its images")
        return None

    def _repaired(
        self, stack: MonitoredStack, deployment: Deployment, image: DeployedImage, finding: Finding
    ) -> Finding:
        """Put the tags of an image back, by the same plan as a deployment."""
        if not finding.tags:
            return finding
        try:
            if stack.version() != deployment.version:
                return replace(finding, problem=BEGAN)
            _put_back(image, tuple(finding.tags), self.log)
            if stack.version() != deployment.version:
                return replace(finding, problem=BEGAN)
        except ImageError as error:
            return replace(finding, problem=f"the tags could not be put back: {error.explain()}")
        return replace(finding, is_repaired=True)


def _compare(image: DeployedImage) -> Finding:
    declaration, digest = image.declaration, image.digest
    finding = Finding(owner=image.owner, repository=declaration.repository_name)
    try:
        repository = image.ports.destination
        found = repository.resolve(declaration.tags)
        ahead = _left_by_rules(image, found)
        tags = [tag for tag in declaration.tags if found.get(tag) != digest and tag not in ahead]
        # Tags that are in place, too: they show that the image exists.
        compared = [tag for tag in declaration.tags if tag in tags or found.get(tag) == digest]
        differences = tuple(image_differences(compared, digest, found, repository))
    except UNANSWERED as error:
        return replace(finding, problem=error.explain())
    except ImageError as error:
        # The registry responded, so the declared image cannot be there.
        return replace(finding, tags=dict.fromkeys(declaration.tags), differences=(error.explain(),))
    return replace(finding, tags={tag: found.get(tag) for tag in tags}, differences=differences)


def _left_by_rules(image: DeployedImage, found: Mapping[str, Digest]) -> Collection[str]:
    """Return the tags that a deployment would leave where they are, for example at a later version."""
    try:
        return tags_ahead(image.declaration, image.digest, found, image.ports)
    except NotFoundError:
        # That the image is missing is a difference of its own.
        return ()


def _put_back(image: DeployedImage, tags: Sequence[str], log: Log) -> None:
    """
    Put tags back to the deployed image. As in a rollback, no rule stops that, because the image met them.

    Raises:
        ImageError: The image does not exist any more, or a tag could not be put.
    """
    digest: Digest = image.digest
    repository = image.ports.destination
    declaration = replace(image.declaration, tags=tuple(tags))
    content = content_in_destination(repository.manifest(digest), repository, ())
    observed = observe(content, tags, repository)
    release = replace(release_of(declaration, content, observed, image.ports), is_undo=True)
    plan = make_plan(desire(declaration, content, judge(declaration.rules, release)), observed)
    log.info(f"putting back in {repository.name}: {plan}", owner=image.owner, **plan.summary())
    execute(plan, repository, log)

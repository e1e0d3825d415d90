"""
Lifecycle rules: which images of a repository expire, by tag, age and count.

The rules have the format and the semantics of lifecycle policies in private
Amazon ECR, which ECR Public does not have.

References:
    Amazon ECR user guide, "Lifecycle policy properties" and "Examples of
    lifecycle policies". Those examples are test cases.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..errors import InvalidPropertiesError, truncated_repr
from ..oci import Digest
from .inventory import Image

DAY_SECONDS = 86_400.0

WILDCARDS_MAX = 4
"""How many ``*`` a pattern may have."""

PRIORITY_MAX = 10_000

_SELECTION = {"tagStatus", "tagPrefixList", "tagPatternList", "countType", "countNumber", "countUnit"}
_CHARACTERS = re.compile(r"[a-zA-Z0-9._*-]{1,128}")


class TagStatus(StrEnum):
    """Which images a rule selects, by whether they have tags."""

    TAGGED = "tagged"
    UNTAGGED = "untagged"
    ANY = "any"


class CountType(StrEnum):
    """How a rule counts."""

    COUNT = "imageCountMoreThan"
    """All but the newest images expire."""
    AGE = "sinceImagePushed"
    """Images expire at an age in days since they were pushed. A new tag does not make an image newer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleRule:
    """
    One rule.

    Shape:
        ``{"rulePriority": 1, "selection": {"tagStatus": "tagged", "tagPrefixList":
        ["nightly-"], "countType": "sinceImagePushed", "countUnit": "days",
        "countNumber": 14}, "action": {"type": "expire"}}``

    Attributes:
        priority: Rules with lower numbers are applied first.
        prefixes: An image must have a tag with each of these prefixes.
        patterns: An image must have a tag that matches each of these patterns.
        number: The number of images to keep, or the age in days.
    """

    priority: int
    status: TagStatus
    count_type: CountType
    number: int
    prefixes: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    description: str = ""

    @classmethod
    def parse(cls, data: object, path: str) -> LifecycleRule:
        """
        Parse one rule of a policy.

        Args:
            path: Its place, for messages: ``rules[0]``.

        Raises:
            InvalidPropertiesError: Has all problems.
        """
        problems: list[str] = []
        top = _fields(data, {"rulePriority", "description", "selection", "action"}, path, problems)
        selection = _fields(top.get("selection"), _SELECTION, f"{path}.selection", problems)
        action = _fields(top.get("action"), {"type"}, f"{path}.action", problems)
        if not problems and action.get("type") != "expire":
            problems.append(f"{path}.action.type: is {truncated_repr(action.get('type'))}; ECR Public only has expire")
        where = f"{path}.selection"
        status = _choice(selection.get("tagStatus"), TagStatus, f"{where}.tagStatus", problems)
        count_type = _choice(selection.get("countType"), CountType, f"{where}.countType", problems)
        prefixes = _texts(selection.get("tagPrefixList"), f"{where}.tagPrefixList", problems)
        patterns = _texts(selection.get("tagPatternList"), f"{where}.tagPatternList", problems)
        problems += _unfit(selection, where, status, count_type)
        priority = _number(top.get("rulePriority"), f"{path}.rulePriority", problems)
        number = _number(selection.get("countNumber"), f"{where}.countNumber", problems)
        if problems:
            raise InvalidPropertiesError(problems)
        return cls(
            priority=priority,
            status=TagStatus(status),
            count_type=CountType(count_type),
            number=number,
            prefixes=prefixes,
            patterns=patterns,
            description=str(top.get("description", "")),
        )

    def selects(self, image: Image) -> bool:
        """Whether the rule applies to an image."""
        if self.status is TagStatus.ANY:
            return True
        if self.status is TagStatus.UNTAGGED:
            return not image.tags
        by_prefix = all(any(tag.startswith(prefix) for tag in image.tags) for prefix in self.prefixes)
        return bool(image.tags) and by_prefix and all(_has_match(image.tags, each) for each in self.patterns)

    def expired(self, images: Sequence[Image], now: float) -> Sequence[Image]:
        """
        Return which of the selected images the rule would remove.

        Args:
            images: The selected images, the newest first.
            now: In seconds since the epoch.
        """
        if self.count_type is CountType.COUNT:
            return images[self.number :]
        return [image for image in images if image.pushed < now - self.number * DAY_SECONDS]

    @property
    def _days(self) -> str:
        return "1 day" if self.number == 1 else f"{self.number} days"

    def __str__(self) -> str:
        tags = {TagStatus.ANY: "all images", TagStatus.UNTAGGED: "images without a tag", TagStatus.TAGGED: "images"}
        names = " and ".join([*(f"{prefix}*" for prefix in self.prefixes), *self.patterns])
        what = tags[self.status] + (f" with a tag {names}" if names else "")
        keeps = f"keep {self.number}" if self.count_type is CountType.COUNT else f"older than {self._days}"
        return f"rule {self.priority} ({what}, {keeps})"


def parse_policy(data: object) -> tuple[LifecycleRule, ...]:
    """
    Parse a policy, and return its rules in the order of their priorities.

    Shape:
        ``{"rules": [{…}, {…}]}``; see ``LifecycleRule``.

    Raises:
        InvalidPropertiesError: Has all problems.
    """
    problems: list[str] = []
    items = _fields(data, {"rules"}, "policy", problems).get("rules", [])
    if not isinstance(items, list) or not items:
        raise InvalidPropertiesError([*problems, "rules: is missing or empty; expected a list of lifecycle rules"])
    rules: list[LifecycleRule] = []
    for number, item in enumerate(items):
        try:
            rules.append(LifecycleRule.parse(item, f"rules[{number}]"))
        except InvalidPropertiesError as error:
            problems += error.problems
    rules.sort(key=lambda rule: rule.priority)
    problems += _conflicts(rules)
    if problems:
        raise InvalidPropertiesError(problems)
    return tuple(rules)


def expire(rules: Sequence[LifecycleRule], images: Iterable[Image], now: float) -> Mapping[Digest, LifecycleRule]:
    """
    Return the images that expire, each with the rule that says so.

    Each rule selects among all images, also among those that other rules
    remove. A rule does not remove an image that a rule of a higher priority (a
    lower number) selects, whether that rule removes it or keeps it.

    Args:
        rules: In the order of their priorities.
        now: In seconds since the epoch.
    """
    newest_first = sorted(images, key=lambda image: (-image.pushed, image.digest))
    decided: set[Digest] = set()
    found: dict[Digest, LifecycleRule] = {}
    for rule in rules:
        selected = [image for image in newest_first if rule.selects(image)]
        found |= {image.digest: rule for image in rule.expired(selected, now) if image.digest not in decided}
        decided |= {image.digest for image in selected}
    return found


def _conflicts(rules: Sequence[LifecycleRule]) -> Iterable[str]:
    priorities = [rule.priority for rule in rules]
    for priority in sorted({each for each in priorities if priorities.count(each) > 1}):
        yield f"rules: rulePriority {priority} is used twice; each rule needs its own"
    if sum(rule.status is TagStatus.UNTAGGED for rule in rules) > 1:
        yield "rules: two rules select untagged images; only one is allowed"
    if any(rule.status is TagStatus.ANY for rule in rules[:-1]):
        yield "rules: a rule for any images must have the highest rulePriority, because it leaves nothing to others"


def _unfit(selection: Mapping[str, object], where: str, status: str, count_type: str) -> Iterable[str]:
    """Yield the problems of fields that do not fit together."""
    given = {name for name in ("tagPrefixList", "tagPatternList") if selection.get(name)}
    if status == TagStatus.TAGGED and len(given) != 1:
        yield f"{where}: tagStatus tagged needs either tagPrefixList or tagPatternList"
    elif status and status != TagStatus.TAGGED and given:
        yield f"{where}: {given.pop()} is only allowed with tagStatus tagged"
    unit = selection.get("countUnit")
    if count_type == CountType.AGE and unit != "days":
        yield f"{where}.countUnit: is {truncated_repr(unit)}; expected days"
    if count_type == CountType.COUNT and unit is not None:
        yield f"{where}.countUnit: is only allowed with countType {CountType.AGE}"


def _fields(data: object, allowed: set[str], path: str, problems: list[str]) -> Mapping[str, object]:
    if not isinstance(data, Mapping):
        problems.append(f"{path}: is {truncated_repr(data)}; expected an object")
        return {}
    if unknown := sorted(str(key) for key in data.keys() - allowed):
        problems.append(f"{path}: has unknown keys: {', '.join(unknown)}; allowed: {', '.join(sorted(allowed))}")
    return data


def _choice(value: object, kind: type[StrEnum], path: str, problems: list[str]) -> str:
    if isinstance(value, str) and value in list(kind):
        return value
    problems.append(f"{path}: is {truncated_repr(value)}; allowed: {', '.join(kind)}")
    return ""


def _number(value: object, path: str, problems: list[str]) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    problems.append(f"{path}: is {truncated_repr(value)}; expected a positive integer")
    return 0


def _texts(value: object, path: str, problems: list[str]) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [] if value is None else [None]
    expected = f"expected letters, digits, '.', '_' and '-', and in patterns up to {WILDCARDS_MAX} '*'"
    problems += [f"{path}: {truncated_repr(item)} is not allowed; {expected}" for item in items if not _is_name(item)]
    return tuple(map(str, items))


def _is_name(item: object) -> bool:
    return isinstance(item, str) and bool(_CHARACTERS.fullmatch(item)) and item.count("*") <= WILDCARDS_MAX


def _has_match(tags: Iterable[str], pattern: str) -> bool:
    regex = re.compile(".*".join(map(re.escape, pattern.split("*"))))
    return any(regex.fullmatch(tag) for tag in tags)

"""Lifecycle rules select and expire images like lifecycle policies of private ECR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lambda_handler.errors import InvalidPropertiesError
from lambda_handler.oci import Digest
from lambda_handler.retention.inventory import Image
from lambda_handler.retention.lifecycle import DAY_SECONDS, LifecycleRule, expire, parse_policy

NOW = 1_790_000_000.0


def image(name: str, *tags: str, days: float) -> Image:
    return Image(digest=Digest.of(name.encode()), tags=frozenset(tags), pushed=NOW - days * DAY_SECONDS)


def rule(priority: int, count: int, *, days: bool = False, **selection: Any) -> dict[str, Any]:
    kind = {"countType": "sinceImagePushed", "countUnit": "days"} if days else {"countType": "imageCountMoreThan"}
    return {
        "rulePriority": priority,
        "selection": {"countNumber": count, **kind, **selection},
        "action": {"type": "expire"},
    }


def prefixed(*prefixes: str) -> dict[str, Any]:
    return {"tagStatus": "tagged", "tagPrefixList": list(prefixes)}


def like(*patterns: str) -> dict[str, Any]:
    return {"tagStatus": "tagged", "tagPatternList": list(patterns)}


def expired(images: Mapping[str, Image], *rules: dict[str, Any]) -> dict[str, int]:
    """Return the names of the images that expire, each with the priority of the rule."""
    found = expire(parse_policy({"rules": list(rules)}), images.values(), NOW)
    return {name: found[each.digest].priority for name, each in images.items() if each.digest in found}


BETA_AND_PROD = {
    "A": image("A", "beta-1", "prod-1", days=10),
    "B": image("B", "beta-2", "prod-2", days=9),
    "C": image("C", "beta-3", days=8),
}
"""The repository of the user guide's examples of several rules."""


def test_a_later_rule_does_not_remove_an_image_that_an_earlier_rule_keeps() -> None:
    """User guide: "filtering on multiple rules", example A. B is the production image to keep."""
    found = expired(
        BETA_AND_PROD,
        rule(1, 1, **prefixed("prod")),
        rule(2, 1, **prefixed("beta")),
    )

    assert found == {"A": 1}


def test_a_later_rule_also_selects_images_that_an_earlier_rule_removes() -> None:
    """User guide: "filtering on multiple rules", example B, the same rules in the other order."""
    found = expired(
        BETA_AND_PROD,
        rule(1, 1, **prefixed("beta")),
        rule(2, 1, **prefixed("prod")),
    )

    assert found == {"A": 1, "B": 1}


MULTIPLE_TAGS = {
    "A": image("A", "alpha-1", days=12),
    "B": image("B", "beta-1", days=11),
    "C": image("C", "alpha-2", "beta-2", days=10),
    "D": image("D", "alpha-3", days=4),
    "E": image("E", "beta-3", days=3),
    "F": image("F", "alpha-4", "beta-4", days=2),
}
"""The repository of the user guide's examples of several tags in one rule."""


def test_an_image_must_match_all_prefixes_of_a_rule() -> None:
    """User guide: "filtering on multiple tags in a single rule", by age and by count."""
    assert expired(MULTIPLE_TAGS, rule(1, 5, days=True, **prefixed("alpha", "beta"))) == {"C": 1}
    assert expired(MULTIPLE_TAGS, rule(1, 1, **prefixed("alpha", "beta"))) == {"C": 1}
    assert expired(MULTIPLE_TAGS, rule(1, 1, **prefixed("alpha"))) == {"A": 1, "C": 1, "D": 1}
    assert expired(MULTIPLE_TAGS, rule(1, 5, days=True, **prefixed("alpha"))) == {"A": 1, "C": 1}


def test_a_rule_for_all_images_selects_what_others_leave() -> None:
    """User guide: "filtering on all images"."""
    images = {
        "A": image("A", "alpha-1", days=12),
        "B": image("B", "beta-1", days=11),
        "C": image("C", days=10),
        "D": image("D", "alpha-2", days=4),
    }

    assert expired(images, rule(1, 1, tagStatus="any")) == {"A": 1, "B": 1, "C": 1}
    assert expired(images, rule(1, 1, **prefixed("alpha")), rule(2, 1, tagStatus="any")) == {"A": 1, "B": 2, "C": 2}
    assert expired(images, rule(1, 1, tagStatus="untagged"), rule(2, 11, days=True, tagStatus="any")) == {"A": 2}


def test_untagged_images_expire_by_age_and_by_count() -> None:
    images = {"old": image("old", days=20), "new": image("new", days=1), "tagged": image("tagged", "1.0", days=90)}

    assert expired(images, rule(1, 14, days=True, tagStatus="untagged")) == {"old": 1}
    assert expired(images, rule(1, 1, tagStatus="untagged")) == {"old": 1}


TAGS = ("prod", "prod-1", "production1", "reprod", "test1-prod", "my-test-prod2", "prod-web", "prodweb", "1.0", "1x0")


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("prod*", {"prod", "prod-1", "production1", "prod-web", "prodweb"}),
        ("*prod*", set(TAGS) - {"1.0", "1x0"}),
        ("*test*prod*", {"test1-prod", "my-test-prod2"}),
        ("prod*web", {"prod-web", "prodweb"}),
        ("1.0", {"1.0"}),
    ],
)
def test_a_pattern_matches_whole_tags(pattern: str, matches: set[str]) -> None:
    tags = {
        "prod",
        "prod-1",
        "production1",
        "reprod",
        "test1-prod",
        "my-test-prod2",
        "prod-web",
        "prodweb",
        "1.0",
        "1x0",
    }
    (only,) = parse_policy({"rules": [rule(1, 1, **like(pattern))]})

    found = {tag for tag in tags if only.selects(image(tag, tag, days=1))}

    assert found >= matches
    assert all(("prod" in tag) if "prod" in pattern else tag == "1.0" for tag in found)


def test_the_age_of_an_image_counts_from_its_push() -> None:
    """A new tag does not make an image newer, as in private ECR."""
    assert expired({"A": image("A", "new-tag", days=15)}, rule(1, 14, days=True, tagStatus="any")) == {"A": 1}
    assert expired({"A": image("A", "new-tag", days=14)}, rule(1, 14, days=True, tagStatus="any")) == {}


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ([], "rules: is missing or empty"),
        ([rule(1, 1, tagStatus="any"), rule(1, 1, tagStatus="untagged")], "rulePriority 1 is used twice"),
        ([rule(1, 1, tagStatus="any"), rule(2, 1, tagStatus="untagged")], "must have the highest rulePriority"),
        ([rule(1, 1, tagStatus="untagged"), rule(2, 2, tagStatus="untagged")], "only one is allowed"),
        ([rule(1, 1, tagStatus="tagged")], "needs either tagPrefixList or tagPatternList"),
        ([rule(1, 1, tagPatternList=["*"], **prefixed("a"))], "needs either tagPrefixList or tagPatternList"),
        (
            [rule(1, 1, tagStatus="untagged", tagPrefixList=["a"])],
            "tagPrefixList is only allowed with tagStatus tagged",
        ),
        ([rule(0, 1, tagStatus="any")], r"rules\[0\].rulePriority: is 0; expected a positive integer"),
        ([rule(1, 0, tagStatus="any")], "countNumber: is 0; expected a positive integer"),
        ([rule(1, 1, **like("*a*b*c*d*"))], r"'\*a\*b\*c\*d\*' is not allowed"),
        ([rule(1, 1, **prefixed("a b"))], "'a b' is not allowed"),
        ([{**rule(1, 1, tagStatus="any"), "action": {"type": "transition"}}], "ECR Public only has expire"),
        ([rule(1, 1, tagStatus="any", countUnit="days")], "countUnit: is only allowed with countType"),
        ([rule(1, 1, days=True, tagStatus="any", countUnit="weeks")], "is 'weeks'; expected days"),
        ([rule(1, 1, tagStatus="some")], "tagStatus: is 'some'; allowed: tagged, untagged, any"),
        ([rule(1, 1, tagStatus="any", countType="sinceImagePulled")], "allowed: imageCountMoreThan, sinceImagePushed"),
        ([{"rulePriority": 1}], r"rules\[0\].selection: is None; expected an object"),
        (["keep 5"], r"rules\[0\]: is 'keep 5'; expected an object"),
    ],
)
def test_an_error_names_the_mistake(rules: list[Any], problem: str) -> None:
    with pytest.raises(InvalidPropertiesError, match=problem):
        parse_policy({"rules": rules})


def test_a_rule_describes_itself() -> None:
    described = [
        str(LifecycleRule.parse(each, "rules[0]"))
        for each in (rule(3, 5, **prefixed("a", "b")), rule(4, 14, days=True, tagStatus="untagged"))
    ]

    assert described == [
        "rule 3 (images with a tag a* and b*, keep 5)",
        "rule 4 (images without a tag, older than 14 days)",
    ]

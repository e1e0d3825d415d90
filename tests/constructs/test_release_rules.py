"""Rules of a release, as an app declares them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from aws_cdk import App, Stack
from aws_cdk.assertions import Template

from cdk_ecrpublic import ImageSource, IReleaseRule, PublicImage, PublicRepository, ReleaseRule

DIGEST = f"sha256:{'a' * 64}"


def properties(rules: Sequence[IReleaseRule], **options: Any) -> dict[str, Any]:
    stack = Stack(App(), "Stack")
    repository = PublicRepository.from_repository_name(stack, "Agent", "acme/agent")
    source = ImageSource.digest(DIGEST)
    PublicImage(stack, "Release", repository=repository, source=source, tags=["1.4.2"], rules=rules, **options)
    (resource,) = Template.from_stack(stack).find_resources("Custom::ECRPublicImage").values()
    return cast("dict[str, Any]", resource["Properties"])


def test_rules_render_their_properties() -> None:
    found = properties(
        [ReleaseRule.required_platforms(["linux/amd64"]), ReleaseRule.immutable_tags(["1.*"], warn_only=True)]
    )

    assert found["RequiredPlatforms"] == ["linux/amd64"]
    assert found["ImmutableTags"] == ["1.*"]
    assert found["WarnOnly"] == ["ImmutableTags"]


def test_moving_tags_can_be_declared_in_one_line() -> None:
    every = ReleaseRule.forward_only(
        ["latest"], on_older="refuse", prefix="v", suffix="-debug", allow_unknown=True, warn_only=True
    )

    assert properties([ReleaseRule.forward_only()])["ForwardOnly"] == {"Tags": ["*"], "OnOlder": "Skip"}
    found = properties([every])
    assert found["ForwardOnly"] == {
        "Tags": ["latest"],
        "OnOlder": "Refuse",
        "OnUnknown": "Proceed",
        "Prefix": "v",
        "Suffix": "-debug",
    }
    assert found["WarnOnly"] == ["ForwardOnly"]


def test_an_image_without_rules_renders_no_rules() -> None:
    assert not {"RequiredPlatforms", "ImmutableTags", "WarnOnly"} & properties([]).keys()


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: properties([ReleaseRule.immutable_tags(["1.*"])] * 2), "ImmutableTags is declared twice"),
        (
            lambda: properties([ReleaseRule.immutable_tags(["1.*"])], immutable_tags=["2.*"]),
            r"Stack/Release: rules\[0\]: ImmutableTags is declared twice",
        ),
        (lambda: properties(cast("Any", ["latest"])), r"rules\[0\]: 'latest' is a str; expected a ReleaseRule"),
        (lambda: properties(cast("Any", ReleaseRule.immutable_tags(["1.*"]))), "rules: .*; expected a list of rules"),
        (lambda: ReleaseRule.immutable_tags(["a b"]), "ReleaseRule.immutable_tags"),
        (lambda: ReleaseRule.required_platforms(cast("Any", "linux/amd64")), "expected a list of platforms"),
        (lambda: ReleaseRule.immutable_tags(["1"], warn_only=cast("Any", "yes")), "warn_only: 'yes' is a str"),
        (lambda: ReleaseRule.forward_only([]), "forward_only: tags: is empty"),
        (lambda: ReleaseRule.forward_only(cast("Any", "latest")), "expected a list of tags or patterns"),
        (lambda: ReleaseRule.forward_only(on_older=cast("Any", "Skip")), "'Skip' is not allowed; expected 'skip' or"),
        (lambda: ReleaseRule.forward_only(prefix="v/"), "forward_only: prefix: 'v/' cannot be a part of a tag"),
        (lambda: ReleaseRule.forward_only(suffix=cast("Any", 1)), "forward_only: suffix: 1 is an int"),
        (lambda: ReleaseRule.forward_only(allow_unknown=cast("Any", "no")), "allow_unknown: 'no' is a str"),
    ],
)
def test_an_error_names_the_mistake(declare: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        declare()

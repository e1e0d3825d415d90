"""The rules that a release must keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from aws_cdk import Duration

from .._assets.lambda_handler.errors import truncated_repr
from .._assets.lambda_handler.oci import Platform, parse_tag_pattern
from .._assets.lambda_handler.oci.version import parse_affix
from .._assets.lambda_handler.rules.required_referrers import ReferrerType
from .._assets.lambda_handler.rules.scan_findings import IGNORED_MAX, LIMITS, STATES
from .._assets.lambda_handler.spec import Property
from ._rules.base import IReleaseRule, PlainRule
from ._rules.required_referrers import RequiredReferrersRule
from ._rules.scan_findings import IgnoredFinding, ScanFindingsRule, render_ignored
from ._rules.signatures import SignatureRule
from ._validation.values import (
    check,
    check_choices,
    check_flag,
    check_instance,
    check_list,
    check_text,
    check_texts,
    is_known,
    refuse,
)
from .signing import IRequiredSignature

OnOlder = Literal["skip", "refuse"]

ON_OLDER: tuple[OnOlder, ...] = ("skip", "refuse")


class ReleaseRule:
    """
    The rules that a ``PublicImage`` must keep: one method for each kind of rule.

    ``cdk-ecrpublic plan`` and the deployment check them with the same code,
    before anything is written, and report all violations together. A rule
    never stops an undo, such as a rollback.

    ```python
    PublicImage(
        self, "Release",
        repository=repository,
        source=ImageSource.digest("sha256:9f2c…"),
        tags=ReleaseTags.semver("1.4.2"),
        rules=[
            ReleaseRule.required_platforms(["linux/amd64", "linux/arm64"]),
            ReleaseRule.immutable_tags(["1.4.2"], warn_only=True),
        ],
    )
    ```

    Each method has the argument *warn_only*: violations are then warnings in
    ``plan`` and in the log of the function, and the release proceeds. Default:
    False, which stops the release.
    """

    @staticmethod
    def required_platforms(platforms: Sequence[str], *, warn_only: bool = False) -> IReleaseRule:
        """
        Require platforms that the image must have.

        Args:
            platforms: Each as ``os/architecture[/variant]``.

        Raises:
            ValueError: A platform is malformed.
        """
        what = "ReleaseRule.required_platforms"
        check_texts(what, platforms, "platforms, e.g. ['linux/amd64']", Platform.parse)
        check_flag(f"{what}: warn_only", warn_only)
        return PlainRule(Property.REQUIRED_PLATFORMS, list(platforms), warn_only)

    @staticmethod
    def immutable_tags(patterns: Sequence[str], *, warn_only: bool = False) -> IReleaseRule:
        """
        Forbid that tags move to another image.

        Immutable tags are put first, and are never removed.

        Args:
            patterns: Tags, or patterns such as ``1.4.*``.

        Raises:
            ValueError: A pattern is malformed.
        """
        what = "ReleaseRule.immutable_tags"
        check_texts(what, patterns, "tags or patterns, e.g. ['1.4.*']", parse_tag_pattern)
        check_flag(f"{what}: warn_only", warn_only)
        return PlainRule(Property.IMMUTABLE_TAGS, list(patterns), warn_only)

    @staticmethod
    def forward_only(
        tags: Sequence[str] = ("*",),
        *,
        on_older: OnOlder = "skip",
        prefix: str = "",
        suffix: str = "",
        allow_unknown: bool = False,
        warn_only: bool = False,
    ) -> IReleaseRule:
        """
        Forbid that moving tags, such as ``latest`` and ``1``, go to a lower version.

        After 2.0.0, a release of 1.9.1 moves ``1.9`` and ``1``, but not
        ``latest``. Versions are compared as semver.org says. A prerelease
        never moves a tag, unless the tag is at a lower prerelease. A rollback
        from 2.0.0 to 1.9.1 passes.

        The version of a tag is the highest full version among the tags of its
        image, else ``org.opencontainers.image.version`` in its annotations or
        labels. The version of the release is the highest one among its tags,
        else the one that its image names.

        ```python
        PublicImage(
            self, "Release",
            repository=repository,
            source=ImageSource.digest("sha256:9f2c…"),
            tags=ReleaseTags.semver("1.9.1"),
            rules=[ReleaseRule.forward_only()],
        )
        ```

        Args:
            tags: Moving tags, or patterns such as ``1*``. A full version, such as
                ``1.9.1``, is not a moving tag, even if a pattern matches it.
                Default: all moving tags of the image.
            on_older: What happens to a tag that is at a higher version. With
                ``"skip"``, it stays there and the release succeeds: ``plan``,
                ``verify``, the log and the attribute ``SkippedTags`` say so.
                With ``"refuse"``, nothing is released. Default: ``"skip"``.
            prefix: What the tags of full versions begin with, as in
                ``ReleaseTags.semver``: ``"v"`` for ``v1.9.1``. Default: none.
            suffix: What they end with: ``"-debug"`` for ``1.9.1-debug``.
                Default: none.
            allow_unknown: Whether a tag moves if one of the two versions is not
                known. Default: False, which stops the release.

        Raises:
            ValueError: A value is malformed.
        """
        what = "ReleaseRule.forward_only"
        check_texts(f"{what}: tags", tags, "tags or patterns, e.g. ['latest', '1*']", parse_tag_pattern)
        if is_known(tags) and not tags:
            refuse(f"{what}: tags", "is empty; list the moving tags, or leave it out for all of them")
        if on_older not in ON_OLDER:
            refuse(f"{what}: on_older", f"{truncated_repr(on_older)} is not allowed; expected 'skip' or 'refuse'")
        for name, text in (("prefix", prefix), ("suffix", suffix)):
            if text != "":
                check(f"{what}: {name}", text, parse_affix)
        check_flag(f"{what}: allow_unknown", allow_unknown)
        check_flag(f"{what}: warn_only", warn_only)
        value = {
            "Tags": list(tags),
            "OnOlder": on_older.capitalize(),
            **({"OnUnknown": "Proceed"} if allow_unknown else {}),
            **({"Prefix": prefix} if prefix else {}),
            **({"Suffix": suffix} if suffix else {}),
        }
        return PlainRule(Property.FORWARD_ONLY, value, warn_only)

    @staticmethod
    def required_referrers(
        types: Sequence[str], *, each_platform: bool = False, warn_only: bool = False
    ) -> IReleaseRule:
        """
        Require signatures, SBOMs or attestations that must be attached to the published image.

        They can be OCI referrers, tags of cosign, or attestations that BuildKit
        writes into an index. For an index, they must be attached to the index,
        or to the image of each platform. Referrers of a copied image count if
        ``include_referrers`` copies them, or if the public repository already
        has them.

        Only their types are checked. Verify signatures with a tool such as cosign.

        Args:
            types: ``sbom``, ``spdx``, ``cyclonedx``, ``provenance`` or
                ``signature``; or an artifact type, media type or predicate type,
                such as ``https://slsa.dev/provenance/v1``, which may end with ``*``.
            each_platform: Whether they must be attached to the image of each
                platform, even if they are attached to the index. Default: False.

        Raises:
            ValueError: There are no types, or one is malformed.
        """
        what = "ReleaseRule.required_referrers"
        check_texts(what, types, "types, e.g. ['sbom', 'signature']", ReferrerType.parse)
        if not types:
            refuse(what, "has no types; expected at least one, e.g. ['sbom', 'signature']")
        check_flag(f"{what}: each_platform", each_platform)
        check_flag(f"{what}: warn_only", warn_only)
        return RequiredReferrersRule(tuple(types), each_platform, warn_only)

    @staticmethod
    def scan_findings(
        max_severity: str,
        *,
        only_fixable: bool = False,
        allow_unrated: bool = False,
        ignore: Sequence[IgnoredFinding] = (),
        max_age: Duration | None = None,
        allow_states: Sequence[str] = (),
        inspector: bool = False,
        warn_only: bool = False,
    ) -> IReleaseRule:
        """
        Limit the severity of the vulnerabilities that private ECR has found in the image.

        The source must be ``ImageSource.ecr`` or ``docker_asset``, or an index
        with one of them. The scan of each platform counts. A scan that is under
        way is waited for. A scan without a result stops the release.

        Args:
            max_severity: The highest severity that is allowed: ``NONE``,
                ``INFORMATIONAL``, ``LOW``, ``MEDIUM``, ``HIGH`` or ``CRITICAL``.
            only_fixable: Whether findings count only if they have a fix, or if it
                is not known whether they have one, as in most basic scans.
                Default: False.
            allow_unrated: Whether findings are allowed whose severity is not
                determined (``UNDEFINED``, ``UNTRIAGED``). Default: False.
            ignore: Findings that do not count for some time.
            max_age: How long ago the scan may have been completed. Default: any
                time.
            allow_states: States without a result that do not stop the release:
                ``UNSUPPORTED_IMAGE``, ``SCAN_NOT_FOUND`` (never scanned),
                ``SCAN_ELIGIBILITY_EXPIRED``, ``FINDINGS_UNAVAILABLE``,
                ``LIMIT_EXCEEDED``, ``IMAGE_ARCHIVED`` or ``FAILED``. Default: none.
            inspector: Whether Amazon Inspector scans the repository (enhanced
                scanning). Reading its findings requires two more permissions,
                which AWS grants for all resources only. Default: False.

        Raises:
            ValueError: A value is not one of those allowed. When the rule is
                bound: the source is not in private ECR.
        """
        what = "ReleaseRule.scan_findings"
        check_text(f"{what}: max_severity", max_severity)
        check_choices(f"{what}: max_severity", [max_severity], LIMITS)
        check_list(f"{what}: ignore", ignore, "IgnoredFinding")
        if len(ignore) > IGNORED_MAX:
            refuse(f"{what}: ignore", f"has {len(ignore)} findings; at most {IGNORED_MAX} are allowed")
        check_choices(f"{what}: allow_states", allow_states, STATES)
        flags = {"only_fixable": only_fixable, "allow_unrated": allow_unrated, "inspector": inspector}
        for name, value in {**flags, "warn_only": warn_only}.items():
            check_flag(f"{what}: {name}", value)
        if max_age is not None:
            check_instance(f"{what}: max_age", max_age, Duration, "a Duration, e.g. Duration.days(7)")
            if max_age.to_seconds(integral=False) < 1:
                refuse(f"{what}: max_age", "is shorter than a second")
        values = {
            "MaxSeverity": max_severity,
            "OnlyFixable": only_fixable or None,
            "AllowUnrated": allow_unrated or None,
            "Ignore": render_ignored(f"{what}: ignore", ignore) or None,
            "MaxAgeSeconds": int(max_age.to_seconds(integral=False)) if max_age is not None else None,
            "AllowStates": list(allow_states) or None,
        }
        known = {name: value for name, value in values.items() if value is not None}
        return ScanFindingsRule(known, tuple(ignore), inspector, warn_only)

    @staticmethod
    def required_signatures(
        signatures: Sequence[IRequiredSignature],
        *,
        any_of: bool = False,
        each_platform: bool = False,
        warn_only: bool = False,
    ) -> IReleaseRule:
        """
        Require that the image is signed where it comes from.

        An index that ``ImageSource.index`` assembles, or that *platforms* of the
        image reduces, cannot be signed yet, and a signature of the source's index
        does not cover it. So all images and attestations in it must be signed.

        Args:
            signatures: What is required; see ``RequiredSignature``.
            any_of: Whether one of *signatures* suffices. Default: False; all are
                required.
            each_platform: Whether each image of an index must be signed, too.

        Raises:
            ValueError: *signatures* is empty, or one of them is something else.
        """
        return SignatureRule(signatures, any_of=any_of, each_platform=each_platform, warn_only=warn_only)

"""See ``ReleaseRule.scan_findings``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from aws_cdk import Annotations
from constructs import Construct

from ..._assets.lambda_handler.rules.scan_findings import parse_day, parse_finding_name, parse_reason
from ..._assets.lambda_handler.spec import Property
from .._iam.actions import INSPECTOR_ACTIONS, SCAN_ACTIONS
from .._sources.base import SourceBinding
from .._validation.values import check, check_instance, is_known, refuse
from ..provider import PublicImageProvider
from .base import RuleBinding


@dataclass(frozen=True)
class IgnoredFinding:
    """
    A vulnerability that does not stop a release for some time; see ``ReleaseRule.scan_findings``.

    ```python
    from aws_cdk import aws_ecr as ecr

    ignored = IgnoredFinding("CVE-2025-0001", reason="the parser is not reachable", until="2099-12-31")
    private = ecr.Repository.from_repository_name(self, "Builds", "builds/agent")
    PublicImage(
        self, "Release",
        repository=repository,
        source=ImageSource.ecr(private, digest="sha256:9f2c…"),
        tags=["1.4.2"],
        rules=[ReleaseRule.scan_findings("MEDIUM", ignore=[ignored])],
    )
    ```

    Args:
        name: The name of the vulnerability, as the scan reports it.
        reason: Why it does not matter, in up to 500 characters.
        until: The last day on which it is ignored, in UTC: a date, or
            ``YYYY-MM-DD``. Synthesis warns about a day that is past.

    Raises:
        ValueError: The name or the date is malformed, or the reason is blank.
    """

    name: str
    reason: str
    until: str | date

    def __init__(self, name: str, *, reason: str, until: str | date) -> None:
        check(f"{_IGNORED}: name", name, parse_finding_name)
        check(f"{_IGNORED}: reason", reason, parse_reason)
        day = until.isoformat()[:10] if isinstance(until, date) else until
        check(f"{_IGNORED}: until", day, parse_day)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "reason", reason)
        object.__setattr__(self, "until", day)


_IGNORED = "IgnoredFinding"

NO_PRIVATE_SOURCE = (
    "the source is not in private ECR, which scans the images; use ImageSource.ecr or ImageSource.docker_asset, or "
    "remove ReleaseRule.scan_findings and scan the image before it is published"
)


@dataclass(frozen=True, slots=True)
class ScanFindingsRule:
    """
    A rule that reads the scan findings of the private repositories of a source.

    Attributes:
        value: The property, without those values that depend on the image.
    """

    value: Mapping[str, object]
    ignored: Sequence[IgnoredFinding]
    inspector: bool
    warn_only: bool

    def bind(self, scope: Construct, provider: PublicImageProvider, source: SourceBinding) -> RuleBinding:
        """Allow reading the findings, and render the rule."""
        if not source.private_repositories:
            refuse(f"{scope.node.path}: ReleaseRule.scan_findings", NO_PRIVATE_SOURCE)
        for arn in source.private_repositories:
            provider.allow(SCAN_ACTIONS, arn)
        if self.inspector:
            provider.allow(INSPECTOR_ACTIONS, "*")
        self._warn_of_expired(scope)
        return RuleBinding(name=Property.SCAN_FINDINGS, value=dict(self.value), warn_only=self.warn_only)

    def _warn_of_expired(self, scope: Construct) -> None:
        today = datetime.now(UTC).date().isoformat()
        past = [each for each in self.ignored if is_known(each.until) and str(each.until) < today]
        if past:
            Annotations.of(scope).add_warning_v2(
                "@cdk-ecrpublic:expiredIgnoredFinding",
                f"no longer ignored: {', '.join(f'{each.name} (until {each.until})' for each in past)}; the deployment "
                "fails if the scan still finds them; remove them from ignore, or review them and set another date",
            )


def render_ignored(what: str, ignored: Sequence[IgnoredFinding]) -> list[dict[str, str]]:
    """
    Render the ignored findings.

    Raises:
        ValueError: One is not an ``IgnoredFinding``.
    """
    example = "IgnoredFinding('CVE-2025-0001', reason='…', until='2026-12-31')"
    for number, each in enumerate(ignored):
        check_instance(f"{what}[{number}]", each, IgnoredFinding, example)
    return [{"Name": each.name, "Reason": each.reason, "Until": str(each.until)} for each in ignored]

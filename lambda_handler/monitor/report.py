"""The messages of a run, and who caused a change, as CloudTrail says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..oci import Digest
from .state import Finding, News

TEXT_MAX_BYTES = 200_000
"""A message of SNS has at most 256 KiB."""

_TEXT_MAX_CHARACTERS = 300
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """
    The call that an event of CloudTrail reports.

    Attributes:
        who: The ARN of the caller, or the best other name.
        tags: The tags in the call; empty if it names images by digest.
        image: The image that was put; None if it was removed, or is not known.
    """

    operation: str
    time: str
    who: str
    repository: str
    tags: frozenset[str]
    image: Digest | None

    @classmethod
    def parse(cls, data: object) -> Cause | None:
        """
        Parse what the rule sends of an event; return None if it is not a call.

        Shape:
            ``{"eventName": "PutImage", "eventTime": "…", "userIdentity": {"arn": "…"}, "requestParameters":
            {"repositoryName": "…", "imageTag": "…", "imageManifest": "…"}}``

        References:
            Amazon ECR Public user guide, "Logging Amazon ECR Public actions with
            AWS CloudTrail". The parameters of BatchDeleteImage are not documented
            there; those of the API are expected.
        """
        if not isinstance(data, Mapping):
            return None
        identity, request = _mapping(data.get("userIdentity")), _mapping(data.get("requestParameters"))
        removed, manifest = request.get("imageIds"), request.get("imageManifest")
        tags = [request.get("imageTag"), *(_mapping(each).get("imageTag") for each in _list(removed))]
        known = (identity.get(name) for name in ("arn", "userName", "invokedBy", "principalId", "type"))
        return cls(
            operation=_text(data.get("eventName")),
            time=_text(data.get("eventTime")),
            who=_text(next(filter(None, known), "an unknown identity")),
            repository=_text(request.get("repositoryName")),
            tags=frozenset(map(_text, filter(None, tags))),
            image=Digest.of(manifest.encode(errors="replace")) if isinstance(manifest, str) else None,
        )

    def explains(self, finding: Finding) -> bool:
        """
        Whether the call caused a difference, because the tag is as the call left it.

        Events arrive minutes later: that of a deployment must not explain what
        someone else did after it.
        """
        return self.repository == finding.repository and any(
            self._left(now) for tag, now in finding.tags.items() if not self.tags or tag in self.tags
        )

    def _left(self, now: Digest | None) -> bool:
        if self.operation == "PutImage":
            return now is not None and self.image in {None, now}
        return now is None

    def __str__(self) -> str:
        return f"{self.operation} by {self.who} at {self.time}"


def messages(news: News, cause: Cause | None) -> Iterator[tuple[str, str]]:
    """Yield a subject and a text for each kind of news."""
    kinds = (
        (news.differing, "differ from their declaration"),
        (news.repaired, "differed from their declaration, and were put back"),
        (news.over, "are as declared again"),
        (news.unreadable, "could not be compared with their declaration"),
        (news.readable, "can be compared with their declaration again"),
    )
    for findings, what in kinds:
        if findings:
            yield f"ECR Public: {len(findings)} image(s) {what}", _text_of(findings, cause)


def _text_of(findings: Sequence[Finding], cause: Cause | None) -> str:
    blocks: list[str] = []
    size = 0
    for finding in findings:
        block = "\n".join(_lines(finding, cause))
        if (size := size + len(block.encode()) + 2) > TEXT_MAX_BYTES:
            break
        blocks.append(block)
    more = len(findings) - len(blocks)
    return "\n\n".join([*blocks, *([f"and {more} more, which are in the log"] if more else [])]) + "\n"


def _lines(finding: Finding, cause: Cause | None) -> Iterator[str]:
    yield f"{finding.owner} in {finding.repository}" if finding.repository else finding.owner
    yield from (f"- {each}" for each in finding.differences)
    if finding.is_repaired:
        yield f"- put back: {', '.join(finding.tags)}"
    if finding.problem:
        yield f"- {finding.problem}"
    if finding.differences and cause is not None and cause.explains(finding):
        yield f"- {cause}"


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _text(value: object) -> str:
    """Return text from outside in a form that cannot add lines to a message."""
    return _NOT_PRINTABLE.sub("?", str(value or "")[:_TEXT_MAX_CHARACTERS])

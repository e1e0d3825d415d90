"""The stacks of a run at scale: declarations, CloudFormation's requests, and the expected results."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from .scale_control_plane import ANSWERS
from .scale_registry import REPOSITORY

REGION = "eu-west-1"
"""The Region of the stacks and the function. ECR Public is in another one."""

STACK_IMAGES = 450
"""CloudFormation allows 500 resources in a stack."""

COPY_SECONDS, RETAG_SECONDS = 960, 300
"""``ServiceTimeout``, as the constructs render it."""

_REASON_CHARACTERS = 240
_STACK_ID = f"arn:aws:cloudformation:{REGION}:123456789012:stack/{{name}}/5a7d8f10-0000-4000-8000-123456789abc"
_SIGNED = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={date}&X-Amz-Expires=7200&X-Amz-Signature={signature}"
_NAMES = (
    (re.compile(r"sha256:[0-9a-f]{6,64}"), "<digest>"),
    (re.compile(r"(Scale[0-9]+\.)?Image[0-9]+"), "Image…"),
    (re.compile(r"[0-9]+(\.[0-9]+)*"), "…"),
    (re.compile(r"…(, …)+"), "…"),
)
"""Parts of reasons that differ for each image, and their replacements, so that reasons can be counted."""


class Phase(StrEnum):
    """A phase, in which all images are changed concurrently."""

    DEPLOYMENT = "deployment"
    UPDATE = "update"
    ROLLBACK = "rollback"
    DESTROY = "destroy"


BEGUN = {
    Phase.DEPLOYMENT: "CREATE_IN_PROGRESS",
    Phase.UPDATE: "UPDATE_IN_PROGRESS",
    Phase.ROLLBACK: "UPDATE_ROLLBACK_IN_PROGRESS",
    Phase.DESTROY: "DELETE_IN_PROGRESS",
}
"""The status of the stacks during the phase."""

ENDED = {
    Phase.DEPLOYMENT: ("CREATE_COMPLETE",),
    # The update has no final status, because it is rolled back.
    Phase.UPDATE: (),
    Phase.ROLLBACK: ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"),
    Phase.DESTROY: ("DELETE_COMPLETE",),
}
"""The status of the stacks after the phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """
    The removal options of the images.

    Attributes:
        untags: Whether dropped tags are removed.
        deletes: Whether images are deleted with the stack.
        goes_forward: Whether moving tags may only move to a higher version.
    """

    name: str
    untags: bool = False
    deletes: bool = False
    goes_forward: bool = False

    @property
    def is_remembered(self) -> bool:
        """Whether each image has a record."""
        return self.untags or self.deletes

    def properties(self, parameter: str, prefix: str) -> dict[str, object]:
        """Return the properties for it; *prefix* is the prefix of the image's tags."""
        declared: dict[str, object] = {}
        if self.goes_forward:
            declared["ForwardOnly"] = {"Tags": ["*"], "OnOlder": "Skip", "Prefix": prefix}
        if self.untags:
            declared["OnTagRemoved"] = "Untag"
        if self.deletes:
            declared["OnDelete"] = "Delete"
        if self.is_remembered:
            declared["StateParameterName"] = parameter
        return declared


KEEP = Kind(name="KEEP")
FORWARD = Kind(name="KEEP with ForwardOnly", goes_forward=True)
UNTAG = Kind(name="UNTAG", untags=True)
DESTROY = Kind(name="DESTROY", untags=True, deletes=True)


def version_prefix(number: int) -> str:
    """Return the prefix of the tags of an image with a version, because all images are in one repository."""
    return f"i{number}-"


@dataclass(frozen=True, slots=True)
class Version:
    """A declaration, and the expected digest of its tags."""

    source: Mapping[str, object]
    tags: Sequence[str]
    digest: str


@dataclass(slots=True, kw_only=True)
class Resource:
    """
    An image of a stack.

    Attributes:
        number: The number of the image, starting at 0.
        versions: The first declaration and the updated one.
        deployed: The index of the deployed one.
        physical_id: The physical id; empty before it is created.
    """

    number: int
    kind: Kind
    seconds: int
    versions: tuple[Version, Version]
    deployed: int = 0
    physical_id: str = ""

    def event(self, phase: Phase, url: str, sent: float) -> dict[str, object]:
        """Return CloudFormation's request; *sent* is in seconds since 1970."""
        identity, date = str(uuid.uuid4()), datetime.fromtimestamp(sent, UTC)
        signed = _SIGNED.format(date=date.strftime("%Y%m%dT%H%M%SZ"), signature=uuid.uuid4().hex * 2)
        common = {
            "RequestId": identity,
            "ResponseURL": f"{url}{ANSWERS}{identity}?{signed}",
            "ServiceToken": f"arn:aws:lambda:{REGION}:123456789012:function:handler",
            "StackId": _STACK_ID.format(name=self._stack),
            "LogicalResourceId": self._logical_id,
            "ResourceType": "Custom::ECRPublicImage",
        }
        if phase is Phase.DEPLOYMENT:
            return {**common, "RequestType": "Create", "ResourceProperties": self._properties(0)}
        known = {**common, "PhysicalResourceId": self.physical_id}
        if phase is Phase.DESTROY:
            return {**known, "RequestType": "Delete", "ResourceProperties": self._properties(self.deployed)}
        old, new = (0, 1) if phase is Phase.UPDATE else (1, 0)
        changes = {"ResourceProperties": self._properties(new), "OldResourceProperties": self._properties(old)}
        return {**known, "RequestType": "Update", **changes}

    def answered(self, phase: Phase, answer: Mapping[str, object]) -> str:
        """Process a response; return the reason if it is a failure, else an empty string."""
        if answer["Status"] != "SUCCESS":
            return reason(str(answer["Reason"]))
        if self.physical_id not in ("", answer["PhysicalResourceId"]):
            return "the physical id has changed"
        self.physical_id = str(answer["PhysicalResourceId"])
        self.deployed = 1 if phase is Phase.UPDATE else 0 if phase is Phase.ROLLBACK else self.deployed
        return ""

    def expected(self, phase: Phase) -> Mapping[str, str | None]:
        """Return the expected digest of its tags after a phase; None if they must not exist."""
        version, other = self.versions[self.deployed], self.versions[1 - self.deployed]
        if phase is Phase.DESTROY and self.kind.deletes:
            return dict.fromkeys(version.tags)
        declared: dict[str, str | None] = dict.fromkeys(version.tags, version.digest)
        if phase in (Phase.UPDATE, Phase.ROLLBACK) and self.kind.untags:
            return {**dict.fromkeys(other.tags), **declared}
        return declared

    def _properties(self, version: int) -> dict[str, object]:
        declared = self.versions[version]
        return {
            "ServiceToken": f"arn:aws:lambda:{REGION}:123456789012:function:handler",
            "ServiceTimeout": str(self.seconds),
            "RepositoryName": REPOSITORY,
            "ImageTags": list(declared.tags),
            "Source": declared.source,
            **self.kind.properties(
                f"/cdk-ecrpublic/{REPOSITORY}/{self._stack}.{self._logical_id}", version_prefix(self.number)
            ),
        }

    @property
    def _stack(self) -> str:
        return f"Scale{self.number // STACK_IMAGES}"

    @property
    def _logical_id(self) -> str:
        return f"Image{self.number}"


@dataclass(slots=True)
class Answers:
    """
    The responses to the requests of a phase.

    Attributes:
        received: The time and the response, by request id.
        errors: The errors of functions that failed, by request id.
    """

    began: float
    received: Mapping[str, Sequence[tuple[float, str]]]
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """The seconds until the last response."""
        return max((when for each in self.received.values() for when, _ in each), default=self.began) - self.began

    def take(self, resource: Resource, phase: Phase, event: Mapping[str, object]) -> str:
        """Pass the response to a resource; return the reason of a failure, else an empty string."""
        identity = str(event["RequestId"])
        found = self.received.get(identity, ())
        if not found:
            return reason(f"no response, but {self.errors[identity]}" if identity in self.errors else "no answer")
        # CloudFormation accepts the first response. The function sends another if the first seems to be lost.
        when, text = found[0]
        if when - self.began > resource.seconds:
            return f"responded after more than {resource.seconds} s"
        return resource.answered(phase, json.loads(text))


def reason(text: str) -> str:
    """Return the reason of a failure, without the parts that differ for each image."""
    for pattern, instead in _NAMES:
        text = pattern.sub(instead, text)
    return text if len(text) <= _REASON_CHARACTERS else f"{text[:_REASON_CHARACTERS]}…"

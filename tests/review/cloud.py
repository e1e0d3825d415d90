"""The stacks that an app is deployed to: a stand-in for CloudFormation, and the real function."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from cdk_ecrpublic.review.app.assembly import read_assembly
from tests.protocol.cloudformation import CloudFormation, answer_address
from tests.protocol.conftest import Lambda
from tests.support.control_plane import ControlPlane, region_of, serving
from tests.support.deployment import SMOOTH, Course, DeployedStack, Deployment

REGION = "us-east-1"

_STACK = """<Stacks><member><StackName>{name}</StackName>{identity}<CreationTime>2026-01-01T00:00:00Z</CreationTime>
<StackStatus>{status}</StackStatus></member></Stacks>"""

_ANSWER = """<{operation}Response xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
<{operation}Result>{result}</{operation}Result></{operation}Response>"""

_ERROR = """<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error><Type>Sender</Type>
<Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"""


@dataclass
class KnownStack:
    """A stack as CloudFormation describes it."""

    template: Mapping[str, object]
    status: str = "CREATE_COMPLETE"


@dataclass
class Cloud:
    """
    CloudFormation and Systems Manager.

    Attributes:
        stacks: By Region and name.
        denied: Operations of either service that are denied.
        busy: The number of requests to CloudFormation that are throttled.
    """

    url: str = ""
    stacks: dict[tuple[str, str], KnownStack] = field(default_factory=dict, init=False)
    denied: set[str] = field(default_factory=set)
    busy: int = 0
    plane: ControlPlane = field(default_factory=ControlPlane, init=False)
    deployed: dict[str, DeployedStack] = field(default_factory=dict, init=False)
    formation: CloudFormation | None = field(default=None, init=False)

    def environment(self) -> dict[str, str]:
        """Return environment variables that direct clients here."""
        return {"AWS_ENDPOINT_URL_SSM": self.url, "AWS_ENDPOINT_URL_CLOUDFORMATION": self.url}

    def reset(self) -> None:
        """Forget all stacks and parameters."""
        self.plane.clear()
        for each in (self.stacks, self.deployed, self.denied):
            each.clear()

    def hold(self, folder: Path, status: str = "CREATE_COMPLETE", *, region: str = REGION) -> None:
        """Add the stacks of a synthesized app, without deploying anything."""
        for stack in read_assembly(folder).stacks:
            template = json.loads(stack.file.read_text(encoding="utf-8"))
            self.stacks[stack.region or region, stack.name] = KnownStack(template, status)

    def deploy(self, folder: Path) -> None:
        """Deploy an app's stacks one after the other, without failures."""
        for deployment in self._deployed(folder, SMOOTH):
            assert deployment.status == "COMPLETE", [change.answer for change in deployment.changes]
        self.hold(folder, "UPDATE_COMPLETE")

    def can_deploy(self, folder: Path) -> bool:
        """Deploy an app's stacks; return whether that succeeded."""
        succeeded = all(deployment.status == "COMPLETE" for deployment in self._deployed(folder, SMOOTH))
        if succeeded:
            self.hold(folder, "UPDATE_COMPLETE")
        return succeeded

    def fail(self, folder: Path, order: Sequence[int] = ()) -> list[Deployment]:
        """Deploy an app's stacks while another resource of each stack fails at the very end."""
        return list(self._deployed(folder, Course(order=order, other_fails_after=1000)))

    def leave_failed(self, folder: Path) -> None:
        """Deploy an app's stacks without a rollback while another resource of each stack fails at the very end."""
        course = Course(other_fails_after=1000, on_failure="NOTHING")
        status = {deployment.status for deployment in self._deployed(folder, course)}
        assert status == {"FAILED"}
        self.hold(folder, "UPDATE_FAILED")

    def _deployed(self, folder: Path, course: Course) -> Iterator[Deployment]:
        assert self.formation is not None
        assembly = read_assembly(folder)
        for stack in assembly.stacks:
            template = {
                image.logical_id: image.properties for image in assembly.images if image.stack_name == stack.name
            }
            region = stack.region or REGION
            there = self.deployed.setdefault(
                stack.name, DeployedStack(self.formation, self.plane, name=stack.name, region=region)
            )
            yield there.deploy(template, course)

    def describe(self, form: Mapping[str, str], region: str) -> tuple[int, str]:
        """Respond as CloudFormation does."""
        operation, name = form["Action"], form["StackName"]
        if self.busy:
            self.busy -= 1
            return 400, _ERROR.format(code="Throttling", message="Rate exceeded")
        if operation in self.denied:
            return 403, _ERROR.format(code="AccessDenied", message="not allowed")
        if name.startswith("arn:") and operation == "GetTemplate":
            name = name.split("/")[1]
        elif name.startswith("arn:"):  # asked by the function
            return self.plane.answer(operation, form, region)
        if (region, name) not in self.stacks:
            return 400, _ERROR.format(code="ValidationError", message=f"Stack with id {name} does not exist")
        stack = self.stacks[region, name]
        body = f"<TemplateBody>{escape(json.dumps(stack.template))}</TemplateBody>"
        result = body if operation == "GetTemplate" else self._described(name, stack)
        return 200, _ANSWER.format(operation=operation, result=result)

    def _described(self, name: str, stack: KnownStack) -> str:
        there = self.deployed.get(name)
        identity = f"<StackId>{there.cloudformation.stack_id}</StackId>" if there else ""
        return _STACK.format(name=name, identity=identity, status=stack.status)

    def answer(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        """Respond to a request to either service."""
        if target := headers.get("X-Amz-Target", ""):
            self.plane.denied = self.denied
            return self.plane.answer(target.partition(".")[2], json.loads(body), region_of(headers))
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        return self.describe(form, region_of(headers))


@contextmanager
def running_cloud() -> Iterator[Cloud]:
    """Run one on a port of this machine."""
    cloud, function = Cloud(), Lambda()
    try:
        with serving(cloud.answer) as cloud.url, answer_address() as address:
            cloud.formation = CloudFormation(function, address, clock=function.clock)
            cloud.plane.wall = function.clock.wall
            yield cloud
            assert address.problems == []
    finally:
        function.close()

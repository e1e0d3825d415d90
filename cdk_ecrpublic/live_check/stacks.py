"""Stacks with custom resources that tell what CloudFormation sends to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import LiveCheckError, Problems
from .guard import PREFIX, expiry_tags
from .templates import IMAGE_TYPE, PROBE_TYPE, Resources, packed_function, probe_template, stack_template

if TYPE_CHECKING:
    from .session import Session
    from .target import Target
    from .transport import Response

PROBE = "probe"
"""The end of the name of the stack with the functions."""

GONE = "does not exist"

POLL_SECONDS = 3.0
POLLS_MAX = 200
LATE = "Late response"
"""How the function calls what it keeps when it responds late."""

LATE_SECONDS = 30
"""After which time a late response is sent. The function may run for 50 seconds."""


@dataclass(slots=True)
class Stacks:
    """
    The stacks of one run.

    Attributes:
        names: The stacks that exist.
    """

    session: Session
    names: list[str] = field(default_factory=list)
    _tokens: dict[str, str] = field(default_factory=dict)
    _has_code: bool = False

    def call(self, operation: str, name: str, **parameters: Any) -> Response:  # noqa: ANN401
        """Call an operation about a stack of the run."""
        return self.session.transport.other("cloudformation", operation, StackName=name, **parameters)

    def create(self, name: str, template: Mapping[str, object], **parameters: Any) -> Response:  # noqa: ANN401
        """Create a stack with an expiry tag."""
        tags = expiry_tags(self.session.transport.budget.seconds_left)
        self.names.append(name)
        return self.call("CreateStack", name, TemplateBody=json.dumps(template), Tags=tags, **parameters)

    def wait(self, name: str) -> str:
        """
        Return the status of a stack once it has ended, or GONE.

        Raises:
            LiveCheckError: It does not end, or its status cannot be read, which proves nothing.
        """
        for _ in range(POLLS_MAX):
            response = self.call("DescribeStacks", name)
            if response.code == "ValidationError" and "does not exist" in response.message:
                return GONE
            if response.code:
                message = f"the status of stack {name} cannot be read: {response.code}: {response.message}"
                raise LiveCheckError(message)
            status = str(response.data["Stacks"][0]["StackStatus"])
            if not status.endswith("_IN_PROGRESS"):
                return status
            self.pause()
        message = f"stack {name} did not end in time"
        raise LiveCheckError(message)

    def pause(self) -> None:
        """Wait a moment before the next look."""
        self.session.transport.wait(POLL_SECONDS if self.session.endpoint.scheme == "https" else 0.2)

    def tokens(self, types: Iterable[str]) -> Mapping[str, str]:
        """
        Return the ARN of the function for each resource type. Their stack is created when it is first needed.

        Raises:
            LiveCheckError: It cannot be created.
        """
        name = f"{self.session.guard.stack}{PROBE}"
        if not self._tokens:
            template = probe_template(name, self.session.guard.run)
            response = self.create(name, template, Capabilities=["CAPABILITY_NAMED_IAM"])
            if response.code or self.wait(name) != "CREATE_COMPLETE":
                message = f"the stack with the function could not be created: {response.code} {response.message}"
                raise LiveCheckError(message)
            outputs = self.call("DescribeStacks", name).data["Stacks"][0]["Outputs"]
            arns = {each["OutputKey"]: each["OutputValue"] for each in outputs}
            self._tokens = {PROBE_TYPE: arns["Probe"], IMAGE_TYPE: arns["Function"]}
        if IMAGE_TYPE in types and not self._has_code:
            self._upload_code(self._tokens[IMAGE_TYPE])
            self._has_code = True
        return self._tokens

    def _upload_code(self, function: str) -> None:
        """Give the function the code of this project, which is too large for a template."""
        name = function.rpartition(":")[2]
        send = self.session.transport.other
        response = send("lambda", "UpdateFunctionCode", FunctionName=name, ZipFile=packed_function())
        for _ in range(POLLS_MAX):
            if response.code or response.data.get("LastUpdateStatus", "Successful") != "InProgress":
                break
            self.session.transport.wait(1.0)
            response = send("lambda", "GetFunctionConfiguration", FunctionName=name)
        if response.code:
            message = f"the code of the function could not be uploaded: {response.code} {response.message}"
            raise LiveCheckError(message)

    def seen(self, case: str) -> list[dict[str, Any]]:
        """Return what the custom resources of a case were sent, in order."""
        path = self.path(case)
        found: list[dict[str, str]] = []
        token: dict[str, str] = {}
        while True:
            page = self.session.transport.other("ssm", "GetParametersByPath", Path=path, Recursive=True, **token).data
            found += page["Parameters"]
            if not page.get("NextToken"):
                break
            token = {"NextToken": page["NextToken"]}
        return [json.loads(each["Value"]) for each in sorted(found, key=lambda each: each["Name"])]

    def path(self, case: str) -> str:
        """Return the path of the parameters in which the function keeps what it sees."""
        return f"/{PREFIX}/{self.session.guard.run}/{case}"

    def clean_up(self) -> None:
        """
        Delete the stacks and parameters of the run, that of the function last.

        Raises:
            LiveCheckError: Something is left.
        """
        if not self.names:
            return
        own = [name for name in self.names if not name.endswith(f"-{PROBE}")]
        problems = Problems()
        for name in own:
            with problems.collected():
                self.call("DeleteStack", name)
        for name in own:
            with problems.collected():
                self._end_deletion(name)
        # The functions are needed until the custom resources are gone.
        if not problems.messages:
            with problems.collected():
                self.delete(f"{self.session.guard.stack}{PROBE}")
                self.names.clear()
        with problems.collected():
            self.session.parameters.clean_up()
        problems.raise_all()

    def delete(self, name: str) -> None:
        """
        Delete a stack.

        Raises:
            LiveCheckError: It was not deleted.
        """
        self.call("DeleteStack", name)
        self._end_deletion(name)

    def _end_deletion(self, name: str) -> None:
        """Wait for a deletion. Custom resources that refuse to be deleted stand for nothing, and are left out."""
        status = self.wait(name)
        if status not in ("DELETE_COMPLETE", "DELETE_FAILED", GONE):
            # CloudFormation refuses to delete a stack that is being updated.
            self.call("DeleteStack", name)
            status = self.wait(name)
        if status == "DELETE_FAILED":
            resources = self.call("DescribeStackResources", name).data["StackResources"]
            left = [each for each in resources if each["ResourceStatus"] != "DELETE_COMPLETE"]
            kept = [each["LogicalResourceId"] for each in left if each["ResourceType"] in (PROBE_TYPE, IMAGE_TYPE)]
            self.call("DeleteStack", name, RetainResources=kept)
            status = self.wait(name)
        if status not in ("DELETE_COMPLETE", GONE):
            message = f"stack {name} was not deleted: {status}; delete it, or run again with --sweep --with stack"
            raise LiveCheckError(message)


@dataclass(slots=True)
class ProbeStack:
    """
    The stack of one case: custom resources one after the other, which respond as their properties say.

    Properties of a resource:
        ``Fail``: the request types that fail, as ``Create,Delete``. ``Id``: the physical id.
        ``FailedId``: the physical id in a response that fails. ``Bytes``: the size of the response.
        ``Late``: the request types to which it responds after ``Seconds``.
        ``ServiceTimeout``. ``Value``: any string, to change something.
        ``Beside``: whether it does not wait for the resource before it.
    """

    target: Target
    suffix: str = ""
    _known: int = 0
    _exists: bool = False

    @property
    def name(self) -> str:
        """The name of the stack."""
        return f"{self.target.session.guard.stack}{self.key}"

    @property
    def key(self) -> str:
        """The part of the name that does not differ between runs."""
        return f"{self.target.recording.case}{self.suffix}"

    def deploy(self, note: str, resources: Resources, **options: Any) -> None:  # noqa: ANN401
        """Create or update the stack, and record its status and the requests that the resources got."""
        stacks = self.target.session.stacks
        types = {str(each.get("Type", PROBE_TYPE)) for each in resources.values()}
        template = stack_template(stacks.tokens(types), self.key, resources)
        if self._exists:
            response = stacks.call("UpdateStack", self.name, TemplateBody=json.dumps(template), **options)
        else:
            response = stacks.create(self.name, template, **options)
            self._exists = True
        self._observe(note, response)

    def delete(self, note: str = "delete") -> None:
        """Delete the stack, and record the same."""
        self._observe(note, self.target.session.stacks.call("DeleteStack", self.name))

    def roll_back(self, note: str = "roll back") -> None:
        """Roll back a stack whose update failed without rollback, and record the same."""
        self._observe(note, self.target.session.stacks.call("RollbackStack", self.name))

    def statuses(self) -> list[str]:
        """Return the statuses of the stack and its resources so far, as its events list them."""
        events = self.target.session.stacks.call("DescribeStackEvents", self.name).data["StackEvents"]
        return [self.target.text(f"{each['LogicalResourceId']}: {each['ResourceStatus']}") for each in reversed(events)]

    def events(self) -> list[dict[str, Any]]:
        """Return all requests so far, as the function keeps them."""
        return self.target.session.stacks.seen(self.key)

    def late(self, types: str, seconds: float = LATE_SECONDS) -> dict[str, str]:
        """Return the properties of a resource that responds late to some types of requests; a sandbox is faster."""
        speed = 1 if self.target.session.endpoint.scheme == "https" else 20
        return {"Late": types, "Seconds": str(seconds / speed)}

    def await_late_responses(self, note: str) -> None:
        """Wait until all late responses were sent, and record what came after the stack had ended."""
        for _ in range(2 * LATE_SECONDS):
            seen = self.events()
            if sum(each["late"] for each in seen) == 2 * sum(each["type"].startswith(LATE) for each in seen):
                break
            self.target.session.stacks.pause()
        self._observe_requests(f"{note}: later")

    def _observe(self, note: str, response: Response) -> None:
        stacks = self.target.session.stacks
        if response.code:
            self.target.observe(note, self.target.text(f"{response.code}: {response.message}"))
            return
        status = stacks.wait(self.name)
        self.target.expect_writes()
        self.target.observe(f"{note}: the stack", status)
        self._observe_requests(f"{note}: requests")

    def _observe_requests(self, note: str) -> None:
        """Record the requests since the last time."""
        seen = self.events()
        new, self._known = seen[self._known :], len(seen)
        self.target.observe(note, [self.target.text(_line(each)) for each in new])


def _line(seen: Mapping[str, Any]) -> str:
    old = f", old value {seen['old']}" if seen["old"] is not None else ""
    identity = seen["id"] or "none"
    return f"{seen['type']} of {seen['resource']} with id {identity} and value {seen['value']}{old} in {seen['status']}"

"""What a stack has deployed: its template with the values of its parameters, and the records of mutable sources."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..aws.templates import SETTLED, StackReader, resolve_known
from ..cfn.event import Event, RequestType
from ..errors import ImageError, RejectedError
from ..publish.ports import Ports
from ..resources.turn import ID_PREFIX, Turn
from ..spec import RESOURCE_TYPE, Declaration, as_sent, decode
from .ports import DeployedImage, Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """
    One stack.

    Attributes:
        reader: Reads stacks of the account.
        region: The Region of the stack.
        stack: The name or the ARN of the stack.
        logical_ids: The monitored resources; empty for all.
        connect: Opens the ports of a declaration in a stack of this Region.
    """

    reader: StackReader
    region: str
    stack: str
    logical_ids: Collection[str]
    connect: Callable[[Declaration, str], Ports]

    @property
    def name(self) -> str:
        """Its name with the Region."""
        name = self.stack.split("/")[1] if self.stack.startswith("arn:") else self.stack
        return f"{self.region}.{name}"

    def version(self) -> str:
        """
        Return what differs after each operation; empty while one is in progress.

        Raises:
            RemoteError: The stack cannot be read, or is in a state in which nothing says what is deployed.
        """
        return self._version(self.reader.describe(self.region, self.stack))

    def read(self) -> Deployment:
        """
        Read what is deployed.

        Raises:
            RemoteError: As for ``version``; or the template cannot be read.
        """
        described = self.reader.describe(self.region, self.stack)
        version = self._version(described)
        if not version:
            return Deployment(version="")
        template, parameters = self.reader.template(self.region, described)
        resources = {each["LogicalResourceId"]: each for each in self.reader.resources(self.region, self.stack)}
        ours = [name for name, each in resources.items() if each["ResourceType"] == RESOURCE_TYPE]
        # Of nearly all types, `Ref` is the physical id.
        references = {name: each.get("PhysicalResourceId", "") for name, each in resources.items()}
        images, problems = [], {}
        for logical_id in sorted(self.logical_ids or ours):
            owner = f"{self.name}.{logical_id}"
            declared = template.get("Resources", {}).get(logical_id, {}).get("Properties")
            physical_id = references.get(logical_id, "")
            if declared is None or not physical_id.startswith(ID_PREFIX):
                problems[owner] = "is not deployed in the stack"
                continue
            properties = as_sent(resolve_known(declared, {**references, **parameters}))
            try:
                images.append(self._image(owner, described["StackId"], logical_id, physical_id, properties))
            except ImageError as error:
                problems[owner] = error.explain()
        return Deployment(version=version, images=images, problems=problems)

    def _version(self, described: Mapping[str, Any]) -> str:
        status = str(described["StackStatus"])
        if status.endswith("_IN_PROGRESS"):
            return ""
        if status not in SETTLED:
            message = f"stack {self.name} has the status {status}, so what is deployed is not known"
            hint = "deploy it again, or roll it back"
            raise RejectedError(message, operation="cloudformation:DescribeStacks", hint=hint)
        return f"{status} {described.get('LastUpdatedTime', described.get('CreationTime', ''))}"

    def _image(
        self, owner: str, stack_id: str, logical_id: str, physical_id: str, properties: Mapping[str, object]
    ) -> DeployedImage:
        registry_id, _, name = physical_id.removeprefix(ID_PREFIX).rpartition(":")[0].partition("/")
        # The template may compute the name of the repository; the physical id has what was deployed.
        declaration = replace(
            decode({**properties, "RepositoryName": name}), registry_id=registry_id, repository_name=name
        )
        ports = self.connect(declaration, self.region)
        event = Event(
            request_type=RequestType.CREATE,
            response_url="",
            stack_id=stack_id,
            request_id="",
            logical_resource_id=logical_id,
            resource_type=RESOURCE_TYPE,
        )
        digest = Turn(event, declaration, ports, self.reader.retry.log).known_digest(declaration, properties)
        if digest is None:
            message = "its source is mutable, and no record has the image that was deployed"
            raise RejectedError(message, operation="ssm:GetParameter", hint="deploy it again, or pin its source")
        return DeployedImage(owner=owner, declaration=declaration, digest=digest, ports=ports)

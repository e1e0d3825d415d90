"""A stack's template, and the images that stand in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from ..._assets.lambda_handler.errors import ImageError
from ..._assets.lambda_handler.spec import RESOURCE_TYPE, Property, decode
from .declared import DeclaredImage, Stack
from .environment import DeployedStack, Environment, partition_of
from .parameters import Parameters
from .resolver import NO_VALUE, Resolver, text
from .unknown import CORRECT, Unknown, unknowns

REPOSITORY, NESTED_STACK = "AWS::ECR::PublicRepository", "AWS::CloudFormation::Stack"

DELETION_POLICY, REPLACEMENT_POLICY = "DeletionPolicy", "UpdateReplacePolicy"

FOR_EACH = "Fn::ForEach::"

_NAMES = {
    REPOSITORY: "RepositoryName",
    "AWS::ECR::Repository": "RepositoryName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SSM::Parameter": "Name",
}
"""The properties that ``Ref`` gives, where they are declared."""

_ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    REPOSITORY: {"Arn": "arn:${AWS::Partition}:ecr-public::${AWS::AccountId}:repository/${ID}"},
    "AWS::ECR::Repository": {
        "Arn": "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/${ID}",
        "RepositoryUri": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/${ID}",
    },
    "AWS::S3::Bucket": {"Arn": "arn:${AWS::Partition}:s3:::${ID}"},
}
"""What follows from a resource's name, which is ``ID``."""

NAME_IT = "give the resource a name in the app, or deploy the stack first"


class App(Protocol):
    """What the other templates of an app say, or of what is deployed, those beside this one."""

    def nested(self, template: Template, logical_id: str) -> Template | None:
        """Return the template of a nested stack; None: it cannot be read."""

    def export(self, stack: Stack, name: str) -> object:
        """Return what a stack of the app exports in the same environment; None: none does."""

    def stack_output(self, stack: Stack, name: str, output: str, region: str) -> object:
        """Return an output of a stack of the app; None: there is none."""

    def creates(self, stack: Stack, repository: object) -> bool:
        """Return whether a stack of the app creates this repository."""


@dataclass(frozen=True)
class Template:
    """
    A template, of a stack or of one that is nested in it. It is the scope of its own expressions.

    Attributes:
        given: Values of parameters, by name: from the command line, or from the stack that this is nested in.
        nested_in: The logical ids of the nested stacks that it is in, from the outside.
        name: The ARN of a nested stack; empty: it is not deployed yet, or the stack is not nested.
        is_deployed: It is what is deployed, and not what will be.
        as_deployed: What a parameter of Systems Manager stood for at the last deployment counts, and not its value now.
        existence: Of a nested stack, whether it is declared at all; not True: its condition is not known.
    """

    stack: Stack
    data: Mapping[str, Any]
    environment: Environment
    app: App
    given: Mapping[str, object] = field(default_factory=dict)
    nested_in: tuple[str, ...] = ()
    name: str = ""
    is_deployed: bool = False
    as_deployed: bool = False
    existence: bool | Unknown = True

    @property
    def resources(self) -> Mapping[str, Any]:
        """All resources, by logical id, those of conditions that do not hold too."""
        resources: Mapping[str, Any] = self.data.get("Resources", {})
        return resources

    @property
    def mappings(self) -> Mapping[str, Any]:
        """The section ``Mappings``."""
        mappings: Mapping[str, Any] = self.data.get("Mappings", {})
        return mappings

    @property
    def stack_name(self) -> str:
        """What CloudFormation knows the stack by; empty: it names a nested one at deployment."""
        # arn:aws:cloudformation:<Region>:<account>:stack/<name>/<identity>
        return self.name.split("/")[1] if "/" in self.name else self.name if self.nested_in else self.stack.name

    @cached_property
    def resolver(self) -> Resolver:
        """What evaluates the values that stand in it."""
        return Resolver(self)

    @property
    def _parameters(self) -> Parameters:
        return Parameters(
            environment=self.environment,
            deployed=lambda: self.deployed,
            given=self.given,
            is_nested=bool(self.nested_in),
            was_resolved=self.is_deployed or self.as_deployed,
            has_defaults=not self.is_deployed,
        )

    @cached_property
    def deployed(self) -> DeployedStack | Unknown | None:
        """The stack as it is deployed; None: it is not."""
        if self.nested_in and not self.name:
            return Unknown("a nested stack", "deploy the stack around it first")
        return self.environment.stack(self.name or self.stack.name)

    def images(self) -> Iterator[DeclaredImage]:
        """Give the images that stand in it, without those of nested stacks."""
        for logical_id, resource in self.resources.items():
            if logical_id.startswith(FOR_EACH) and RESOURCE_TYPE in text(resource):
                cure = "write the resources one by one, since a review does not evaluate loops"
                yield self._image(logical_id, {}, Unknown(logical_id, cure))
            elif _is(RESOURCE_TYPE, resource) and (existence := self.exists(resource)) is not False:
                yield self._image(logical_id, resource, self.existence if existence is True else existence)

    def nested(self) -> Iterator[Template]:
        """Give the templates of the stacks that are nested in it, as far as they can be read."""
        nested = [name for name, resource in self.resources.items() if _is(NESTED_STACK, resource)]
        for logical_id in nested:
            template = self.app.nested(self, logical_id) if self.exists(self.resources[logical_id]) else None
            if template is not None:
                yield template

    def name_of_nested(self, logical_id: str) -> str:
        """Return what CloudFormation knows a nested stack by, its ARN; empty: that is not known yet."""
        deployed = self.deployed
        if deployed is None or isinstance(deployed, Unknown) or isinstance(deployed.physical_ids, Unknown):
            return ""
        return deployed.physical_ids.get(logical_id, "")

    def repositories(self) -> list[object]:
        """List the names of the repositories that it creates."""
        return [
            self.ref(logical_id)
            for logical_id, resource in self.resources.items()
            if _is(REPOSITORY, resource) and self.exists(resource)
        ]

    def output(self, name: str) -> object:
        """Return an output; None: there is none."""
        output = self.data.get("Outputs", {}).get(name)
        return self.resolver(output.get("Value")) if isinstance(output, Mapping) else None

    def exports(self) -> Iterator[tuple[str, str]]:
        """Give the names of exports, each with the name of its output."""
        for name, output in self.data.get("Outputs", {}).items():
            if not isinstance(output, Mapping) or not self.exists(output):
                continue
            exported = self.resolver(output.get("Export", {}).get("Name"))
            if isinstance(exported, str):
                yield exported, name

    def exists(self, entry: Mapping[str, Any]) -> bool | Unknown:
        """Return whether the condition of a resource or output holds."""
        name = entry.get("Condition")
        return self.condition(name) if isinstance(name, str) else True

    def condition(self, name: str) -> bool | Unknown:
        """Evaluate a condition of the section ``Conditions``."""
        conditions = self.data.get("Conditions", {})
        if name not in conditions:
            return Unknown(f"Condition {name}", CORRECT)
        return self.resolver.condition(conditions[name])

    def import_value(self, name: str) -> object:
        """Return what a stack exports under *name*: one of the app is deployed with the others."""
        known = None if self.is_deployed else self.app.export(self.stack, name)
        return self.environment.export(name) if known is None or isinstance(known, Unknown) else known

    def stack_output(self, stack: str, output: str, region: str) -> object:
        """Return an output of another stack."""
        known = None if self.is_deployed else self.app.stack_output(self.stack, stack, output, region)
        if known is None or isinstance(known, Unknown):
            return self.environment.stack_output(stack, output, region)
        return known

    def ssm_parameter(self, name: str) -> object:
        """Return a parameter of Systems Manager, as it is now."""
        if self.is_deployed and ":" not in name:
            cure = f"name a version of it, {name}:VERSION, since it may have changed since the deployment"
            return Unknown(f"what {{{{resolve:ssm:{name}}}}} stood for", cure)
        return self.environment.ssm_parameter(name)

    def ref(self, name: str) -> object:
        """Return what ``Ref`` gives for a parameter, a pseudo parameter or a resource."""
        if name.startswith("AWS::"):
            return self._pseudo(name)
        if name in self.data.get("Parameters", {}):
            return self._parameters.value(name, self.data["Parameters"][name])
        if name not in self.resources:
            return Unknown(f"Ref {name}", CORRECT)
        return self._resource_name(name, self.resources[name])

    def attribute(self, logical_id: str, name: str) -> object:
        """Return an attribute of a resource, where it follows from what is known of the resource."""
        resource = self.resources.get(logical_id)
        if not isinstance(resource, Mapping):
            return Unknown(f"Fn::GetAtt {logical_id}.{name}", CORRECT)
        kind, properties = resource.get("Type"), resource.get("Properties", {})
        known: object = None
        if name in (pattern := _ATTRIBUTES.get(str(kind), {})):
            known = self.resolver({"Fn::Sub": [pattern[name], {"ID": {"Ref": logical_id}}]})
        elif kind == "AWS::SSM::Parameter" and name in {"Value", "Type"}:
            known = self.resolver(properties.get(name))
        elif kind == RESOURCE_TYPE:
            known = self._image_attribute(properties, name)
        elif kind == NESTED_STACK and name.startswith("Outputs."):
            nested = self.app.nested(self, logical_id)
            known = nested.output(name.removeprefix("Outputs.")) if nested else None
        return Unknown(f"Fn::GetAtt {logical_id}.{name}") if known is None else known

    def _pseudo(self, name: str) -> object:
        region = self.environment.region
        partition, suffix = partition_of(region)
        known: dict[str, object] = {
            "AWS::AccountId": self.environment.account,
            "AWS::Region": region,
            "AWS::Partition": partition,
            "AWS::URLSuffix": suffix,
            "AWS::NoValue": NO_VALUE,
        }
        if name == "AWS::StackName" and self.stack_name:
            return self.stack_name
        if name == "AWS::StackId" and not isinstance(self.deployed, Unknown) and self.deployed is not None:
            return self.deployed.stack_id
        return known.get(name, Unknown(name))

    def _resource_name(self, logical_id: str, resource: Mapping[str, Any]) -> object:
        declared = _NAMES.get(str(resource.get("Type")), "")
        if declared in resource.get("Properties", {}):
            return self.resolver(resource["Properties"][declared])
        deployed = self.deployed
        if deployed is None or isinstance(deployed, Unknown) or isinstance(deployed.physical_ids, Unknown):
            return Unknown(f"the name of {logical_id}", NAME_IT)
        # A resource that changes may be replaced, and get another name.
        if logical_id in deployed.physical_ids and (self.is_deployed or self._is_as_before(logical_id, deployed)):
            return deployed.physical_ids[logical_id]
        return Unknown(f"the name of {logical_id}", NAME_IT)

    def _is_as_before(self, logical_id: str, deployed: DeployedStack) -> bool:
        if isinstance(deployed.template, Unknown):
            return False
        before = deployed.template.get("Resources", {}).get(logical_id, {})
        now = self.resources[logical_id]
        return all(before.get(part) == now.get(part) for part in ("Type", "Properties"))

    def _image_attribute(self, properties: Mapping[str, Any], name: str) -> object:
        """Return what an image of ours answers, where that follows from its declaration."""
        resolved = self.resolver({key: value for key, value in properties.items() if key != "ServiceToken"})
        if name == Property.REPOSITORY_NAME and isinstance(resolved, Mapping):
            return resolved.get(name)
        if name != Property.IMAGE_DIGEST or any(unknowns(resolved)) or not isinstance(resolved, Mapping):
            return None
        try:
            pinned = decode(resolved).pinned
        except ImageError:
            return None
        return str(pinned) if pinned else None

    def _image(self, logical_id: str, resource: Mapping[str, Any], existence: bool | Unknown) -> DeclaredImage:  # noqa: FBT001
        properties = resource.get("Properties", {})
        resolved = self.resolver({name: value for name, value in properties.items() if name != "ServiceToken"})
        known: Mapping[str, object] = resolved if isinstance(resolved, Mapping) else {}
        return DeclaredImage(
            stack=self.stack.display_name,
            root_name=self.stack.name,
            stack_name=self.stack_name,
            nested_in=self.nested_in,
            account=self.stack.account,
            region=self.stack.region,
            path=self._path(logical_id, resource),
            logical_id=logical_id,
            properties=known,
            template=properties,
            created_here=not self.is_deployed and self.app.creates(self.stack, known.get(Property.REPOSITORY_NAME)),
            outlives=frozenset(
                name
                for name in (DELETION_POLICY, REPLACEMENT_POLICY)
                if str(resource.get(name, "")).startswith("Retain")
            ),
            existence=existence,
        )

    def _path(self, logical_id: str, resource: Mapping[str, Any]) -> str:
        """Return the path of the construct that a person wrote."""
        path = resource.get("Metadata", {}).get("aws:cdk:path") or self.stack.paths.get(logical_id, logical_id)
        return str(path).strip("/").removesuffix("/Default").removesuffix("/Resource")


def _is(kind: str, resource: object) -> bool:
    return isinstance(resource, Mapping) and resource.get("Type") == kind

"""The template of a stack, and the images that it declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from ..._assets.lambda_handler.errors import ImageError
from ..._assets.lambda_handler.spec import RESOURCE_TYPE, Property, decode
from .declared import DeclaredImage, Stack
from .environment import DeployedStack, Environment, partition_of
from .parameters import SSM_TYPE, Parameters
from .resolver import NO_MACROS, NO_VALUE, NOT_EVALUATED, Resolver, expanded_key, text
from .rules import accepted_by_rules
from .unknown import CORRECT, Unknown, unknowns

REPOSITORY, NESTED_STACK = "AWS::ECR::PublicRepository", "AWS::CloudFormation::Stack"

PARAMETER = "AWS::SSM::Parameter"

DELETION_POLICY, REPLACEMENT_POLICY = "DeletionPolicy", "UpdateReplacePolicy"

FOR_EACH = "Fn::ForEach::"

HARMLESS_TRANSFORMS = ("AWS::LanguageExtensions", "AWS::Serverless", "AWS::SecretsManager", "AWS::CodeDeploy")
"""Beginnings of the names of macros that leave a ``Custom::ECRPublicImage`` as it is."""

_NAMES = {
    REPOSITORY: "RepositoryName",
    "AWS::ECR::Repository": "RepositoryName",
    "AWS::S3::Bucket": "BucketName",
    PARAMETER: "Name",
}
"""The property that is the value of ``Ref``, if it is declared."""

_ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    REPOSITORY: {"Arn": "arn:${AWS::Partition}:ecr-public::${AWS::AccountId}:repository/${ID}"},
    "AWS::ECR::Repository": {
        "Arn": "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/${ID}",
        "RepositoryUri": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/${ID}",
    },
    "AWS::KMS::Key": {"Arn": "arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/${ID}"},
    "AWS::S3::Bucket": {"Arn": "arn:${AWS::Partition}:s3:::${ID}"},
}
"""Attributes that depend only on the name of a resource, ``ID``."""

NAME_IT = "give the resource a name in the app, or deploy the stack first"


class App(Protocol):
    """The other templates of the app, or of the deployed stacks."""

    def nested(self, template: Template, logical_id: str) -> Template | None:
        """Return the template of a nested stack; None if it cannot be read."""

    def export(self, importer: Template, name: str) -> object:
        """Return an export of a stack of the app in the same environment; None if the deployed one counts."""

    def stack_output(self, importer: Template, name: str, output: str, region: str) -> object:
        """Return an output of a stack of the app; None if the deployed one counts."""

    def stores(self, reader: Template, name: str) -> Iterator[tuple[Template, object]]:
        """Yield the templates that set a Systems Manager parameter in the same environment, with the value."""

    def creates(self, stack: Stack, repository: object) -> bool:
        """Whether a stack of the app creates this repository."""


@dataclass(frozen=True)
class Template:
    """
    The template of a stack, which may be nested. It is also the scope of its expressions.

    Attributes:
        given: Values of parameters, by name: from the command line, or from the parent of a nested stack.
        nested_in: The logical ids of the nested stacks around it, the outermost first.
        name: The ARN of a nested stack; empty if it is not deployed yet, or the stack is not nested.
        is_deployed: Whether it is the deployed template, not the one in the app.
        as_deployed: Whether to use Systems Manager parameters as resolved at the last deployment, not as they are now.
        existence: For a nested stack: True, or ``Unknown`` if its condition cannot be evaluated.
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
        """All resources by logical id, including those whose conditions are false."""
        resources: Mapping[str, Any] = self.data.get("Resources", {})
        return resources

    @property
    def mappings(self) -> Mapping[str, Any]:
        """The section ``Mappings``."""
        mappings: Mapping[str, Any] = self.data.get("Mappings", {})
        return mappings

    @property
    def stack_name(self) -> str:
        """The name of the stack in CloudFormation; empty for a nested stack that is not deployed yet."""
        # arn:aws:cloudformation:<Region>:<account>:stack/<name>/<identity>
        return self.name.split("/")[1] if "/" in self.name else self.name if self.nested_in else self.stack.name

    @cached_property
    def resolver(self) -> Resolver:
        """The resolver for the values in the template."""
        return Resolver(self)

    @property
    def _parameters(self) -> Parameters:
        return Parameters(
            # CloudFormation reads it before it changes a resource of the stack.
            stored=lambda name: self._stored(name, but=self.stack),
            deployed=lambda: self.deployed,
            given=self.given,
            is_nested=bool(self.nested_in),
            was_resolved=self.is_deployed or self.as_deployed,
            has_defaults=not self.is_deployed,
        )

    @cached_property
    def deployed(self) -> DeployedStack | Unknown | None:
        """The deployed stack; None if it is not deployed."""
        if self.nested_in and not self.name:
            return Unknown("a nested stack", "deploy its parent stack first")
        return self.environment.stack(self.name or self.stack.name)

    def images(self) -> Iterator[DeclaredImage]:
        """Yield the images in the template, without those of nested stacks."""
        accepted = self.is_deployed or accepted_by_rules(self.data.get("Rules", {}), self.resolver)
        for logical_id, resource in self.resources.items():
            if logical_id.startswith(FOR_EACH) and RESOURCE_TYPE in text(resource):
                cure = "this command does not evaluate loops; write the resources one by one"
                yield self._image(logical_id, {}, Unknown(logical_id, cure))
            elif _is(RESOURCE_TYPE, resource) and (existence := self.exists(resource)) is not False:
                doubts = (existence, self.existence, self._macro, accepted)
                known = next((each for each in doubts if each is not True), True)
                yield self._image(logical_id, resource, known)
            elif _is(NESTED_STACK, resource) and self._hides_images(logical_id, resource):
                cure = (
                    "it is not a file of the app; declare its images in the app, or review them where they are declared"
                )
                yield self._image(logical_id, {}, Unknown(f"the template of the nested stack {logical_id}", cure))

    def _hides_images(self, logical_id: str, resource: Mapping[str, Any]) -> bool:
        """Whether images are deployed in a nested stack whose template cannot be read."""
        if not self.exists(resource) or self.app.nested(self, logical_id) is not None:
            return False
        name = self.name_of_nested(logical_id)
        deployed = self.environment.stack(name) if name else None
        return deployed is not None and not isinstance(deployed, Unknown) and RESOURCE_TYPE in text(deployed.template)

    @property
    def _macro(self) -> bool | Unknown:
        """True; or ``Unknown`` if the template has a macro that may change, add or remove images."""
        if self.is_deployed:
            return True
        named = self.data.get("Transform", [])
        for macro in named if isinstance(named, list) else [named]:
            name = text(macro.get("Name", "") if isinstance(macro, Mapping) else macro)
            if not name.startswith(HARMLESS_TRANSFORMS):
                return Unknown(f"what the macro {name} makes of the template", NO_MACROS)
        return Unknown("Fn::Transform", NO_MACROS) if "Fn::Transform" in self.resources else True

    def nested(self) -> Iterator[Template]:
        """Yield the templates of nested stacks that can be read."""
        nested = [name for name, resource in self.resources.items() if _is(NESTED_STACK, resource)]
        for logical_id in nested:
            template = self.app.nested(self, logical_id) if self.exists(self.resources[logical_id]) else None
            if template is not None:
                yield template

    def name_of_nested(self, logical_id: str) -> str:
        """Return the ARN of a nested stack; empty if it is not deployed yet."""
        deployed = self.deployed
        if deployed is None or isinstance(deployed, Unknown) or isinstance(deployed.physical_ids, Unknown):
            return ""
        return deployed.physical_ids.get(logical_id, "")

    def repositories(self) -> list[object]:
        """Return the names of the repositories that the template creates."""
        return [
            self.ref(logical_id)
            for logical_id, resource in self.resources.items()
            if _is(REPOSITORY, resource) and self.exists(resource)
        ]

    def output(self, name: str) -> object:
        """Return an output; None if it does not exist."""
        output = self.data.get("Outputs", {}).get(name)
        if not isinstance(output, Mapping) or (existence := self.exists(output)) is False:
            return None
        return self.resolver(output.get("Value")) if existence is True else existence

    def keeps_output(self, name: str) -> bool:
        """Whether the next deployment keeps the value of an output, because nothing that it depends on changes."""
        deployed = self.deployed
        if deployed is None or isinstance(deployed, Unknown) or isinstance(deployed.template, Unknown):
            return False
        used = self._used_by(self.data.get("Outputs", {}).get(name))
        if any(entry in self.given or SSM_TYPE in text(self.data.get("Parameters", {}).get(entry)) for entry in used):
            return False
        before = deployed.template
        sections = ("Parameters", "Resources", "Conditions", "Mappings")
        return before.get("Outputs", {}).get(name) == self.data.get("Outputs", {}).get(name) and all(
            before.get(section, {}).get(entry) == self.data.get(section, {}).get(entry)
            for section in sections
            for entry in used
        )

    def _used_by(self, expression: object) -> set[str]:
        """Return the names of all entries of the template that an expression may depend on, and maybe others."""
        sections = [self.data.get(name, {}) for name in ("Parameters", "Resources", "Conditions", "Mappings")]
        entries = {name: text(entry) for section in sections for name, entry in section.items()}
        used: set[str] = set()
        found = {name for name in entries if name in text(expression)}
        while found:
            used |= found
            found = {name for name in entries if any(name in entries[each] for each in found)} - used
        return used

    def exports(self) -> Iterator[tuple[str, str]]:
        """Yield the names of exports, each with the name of its output."""
        for name, output in self.data.get("Outputs", {}).items():
            if not isinstance(output, Mapping) or not self.exists(output):
                continue
            exported = self.resolver(output.get("Export", {}).get("Name"))
            if isinstance(exported, str):
                yield exported, name

    def exists(self, entry: Mapping[str, Any]) -> bool | Unknown:
        """Whether the condition of a resource or output is true."""
        name = entry.get("Condition")
        return self.condition(name) if isinstance(name, str) else True

    def condition(self, name: str) -> bool | Unknown:
        """Evaluate a condition of the section ``Conditions``."""
        conditions = self.data.get("Conditions", {})
        if name not in conditions:
            return Unknown(f"Condition {name}", NOT_EVALUATED if expanded_key(conditions) else CORRECT)
        return self.resolver.condition(conditions[name])

    def import_value(self, name: str) -> object:
        """Return the export *name*. Exports of the app come first, because its stacks are deployed together."""
        known = self.app.export(self, name)
        # An export that is imported already cannot change.
        is_kept = known is None or (any(unknowns(known)) and self._imports(name))
        return self.environment.export(name) if is_kept else known

    def _imports(self, name: str) -> bool:
        """Whether the deployed stack imports an export."""
        deployed = self.deployed
        if deployed is None or isinstance(deployed, Unknown) or isinstance(deployed.template, Unknown):
            return False
        return name in text(deployed.template)

    def stack_output(self, stack: str, output: str, region: str) -> object:
        """Return an output of another stack."""
        if self.is_deployed:
            cure = f"the stack {stack} may have been deployed since"
            return Unknown(f"the deployed value of Fn::GetStackOutput {stack}.{output}", cure)
        known = self.app.stack_output(self, stack, output, region)
        return self.environment.stack_output(stack, output, region) if known is None else known

    def ssm_parameter(self, name: str) -> object:
        """Return the current value of a Systems Manager parameter."""
        if self.is_deployed and ":" not in name:
            cure = f"its value may have changed since the deployment; add a version: {name}:VERSION"
            return Unknown(f"the deployed value of {{{{resolve:ssm:{name}}}}}", cure)
        return self._stored(name)

    def _stored(self, name: str, *, but: Stack | None = None) -> object:
        """Return a Systems Manager parameter, unless a stack of the app, *but* one, gives it another value."""
        found = self.environment.ssm_parameter(name)
        for template, value in self.app.stores(self, name):
            if template.stack is not but and text(value) != text(found):
                cure = f"the stack {template.stack.display_name} sets it, too; deploy that stack first"
                return Unknown(f"the parameter {name} of Systems Manager", cure)
        return found

    def ref(self, name: str) -> object:
        """Return the value of ``Ref`` for a parameter, a pseudo parameter or a resource."""
        if name.startswith("AWS::"):
            return self._pseudo(name)
        if name in self.data.get("Parameters", {}):
            return self._parameters.value(name, self.data["Parameters"][name])
        if name not in self.resources:
            return Unknown(f"Ref {name}", CORRECT)
        return self._resource_name(name, self.resources[name])

    def attribute(self, logical_id: str, name: str) -> object:
        """Return an attribute of a resource, if it follows from the properties or the deployed stack."""
        resource = self.resources.get(logical_id)
        if not isinstance(resource, Mapping):
            return Unknown(f"Fn::GetAtt {logical_id}.{name}", CORRECT)
        kind, properties = resource.get("Type"), resource.get("Properties", {})
        known: object = None
        if name in (pattern := _ATTRIBUTES.get(str(kind), {})):
            known = self.resolver({"Fn::Sub": [pattern[name], {"ID": {"Ref": logical_id}}]})
        elif kind == PARAMETER and name in {"Value", "Type"}:
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
        # A changed resource may be replaced and get another name.
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
        """Return an attribute of a ``Custom::ECRPublicImage``, if it follows from the declaration."""
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
        known: Mapping[str, object] = resolved if isinstance(resolved, Mapping) else {"Properties": resolved}
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
                if text(self.resolver(resource.get(name, ""))).startswith("Retain")
            ),
            existence=existence,
        )

    def _path(self, logical_id: str, resource: Mapping[str, Any]) -> str:
        """Return the path of the construct in the app, without generated children."""
        path = resource.get("Metadata", {}).get("aws:cdk:path") or self.stack.paths.get(logical_id, logical_id)
        return str(path).strip("/").removesuffix("/Default").removesuffix("/Resource")


def _is(kind: str, resource: object) -> bool:
    return isinstance(resource, Mapping) and resource.get("Type") == kind

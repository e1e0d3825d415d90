"""
The app as ``cdk synth`` wrote it: the images that it declares.

Reads the cloud assembly, with nested assemblies (stages) and nested stacks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .._assets.lambda_handler.spec import RESOURCE_TYPE
from .intrinsics import Resolver, Unknown

FILE_MAX_BYTES = 64 * 1024 * 1024
"""Templates end at 1 MB; a manifest or tree of a large app has a few."""

_NESTED_STACK = "AWS::CloudFormation::Stack"
_REPOSITORY = "AWS::ECR::PublicRepository"


class AssemblyError(Exception):
    """A cloud assembly that cannot be read; the text says where, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredImage:
    """
    One ``Custom::ECRPublicImage`` of the app.

    Attributes:
        stack: ``Stage/Stack``; of what is in a nested stack, the stack that this is nested in.
        stack_name: What CloudFormation knows the stack by; empty for a nested one, which is named at deployment.
        path: Of the construct, or the logical id where the template does not say it.
        properties: With ``Unknown`` where only the deployment knows.
        template: The properties as they stand in the template.
        created_here: The same app creates its repository.
        built_here: The deployment builds the image that is copied, and pushes it.
    """

    stack: str
    stack_name: str
    account: str | None
    region: str | None
    path: str
    logical_id: str
    properties: Mapping[str, object]
    template: Mapping[str, object]
    created_here: bool
    built_here: bool = False


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file asset: where it will be, and where it is now."""

    bucket: str
    key: str
    path: Path


@dataclass(frozen=True, slots=True)
class Assembly:
    """All that an app declares of ECR Public."""

    images: tuple[DeclaredImage, ...]
    files: tuple[StoredFile, ...]


def read_assembly(folder: Path, stacks: Sequence[str] = ()) -> Assembly:
    """
    Read the assembly in *folder*.

    Args:
        stacks: Only these, by name or as ``Stage/Stack``; empty: all.

    Raises:
        AssemblyError: There is none, it cannot be read, or has no such stack.
    """
    found = list(_stacks(folder))
    exports = _exports(found)
    images = [
        image
        for stack in _chosen(found, folder, stacks)
        for image in _images(stack, _Template(stack, _read(stack.file), {}, exports))
    ]
    files = tuple(file for stack in found for file in _files(stack))
    built = {image for stack in found for image in _built(stack)}
    return Assembly(images=tuple(_completed(image, files, built) for image in images), files=files)


def _chosen(found: Sequence[_Stack], folder: Path, stacks: Sequence[str]) -> list[_Stack]:
    known = {name for stack in found for name in (stack.name, stack.display_name)}
    if unknown := [name for name in stacks if name not in known]:
        message = f"no stack {', '.join(unknown)} in {folder}; there are: {', '.join(sorted(known)) or 'none'}"
        raise AssemblyError(message)
    return [stack for stack in found if not stacks or {stack.name, stack.display_name} & set(stacks)]


def _completed(image: DeclaredImage, files: Sequence[StoredFile], built: AbstractSet[str]) -> DeclaredImage:
    """Add what the asset manifests say: where files will be, and which images are built."""
    buckets = {file.key: file.bucket for file in files}

    def located(value: Any) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(value, list):
            return [located(item) for item in value]
        if not isinstance(value, dict):
            return value
        # The bucket's name may have the account in it; the file is here, whatever its name will be.
        known = {"Bucket": buckets[value["Key"]]} if value.get("Key") in buckets else {}
        return {name: located(item) for name, item in value.items()} | known

    source = json.dumps(image.properties.get("Source"), default=str)
    return replace(image, properties=located(dict(image.properties)), built_here=any(tag in source for tag in built))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stack:
    name: str
    display_name: str
    account: str | None
    region: str | None
    file: Path
    assets: tuple[Path, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def paths(self) -> Mapping[str, str]:
        """The paths of constructs by logical id: templates have them only if that is not switched off."""
        return {
            each["data"]: path
            for path, entries in self.metadata.items()
            for each in entries
            if each.get("type") == "aws:cdk:logicalId"
        }


@dataclass(frozen=True, slots=True)
class _Template:
    """A template, with what its parameters are given by the stack that it is nested in."""

    stack: _Stack
    data: Mapping[str, Any]
    parameters: Mapping[str, object]
    exports: Mapping[str, object] = field(default_factory=dict)
    is_nested: bool = False

    @property
    def resources(self) -> Mapping[str, Any]:
        resources: Mapping[str, Any] = self.data.get("Resources", {})
        return resources

    @property
    def resolver(self) -> Resolver:
        return Resolver(
            ref=self._ref, import_value=lambda name: self.exports.get(name, Unknown(f"Fn::ImportValue {name}"))
        )

    def _ref(self, name: str) -> object:
        known = {
            "AWS::AccountId": self.stack.account,
            "AWS::Region": self.stack.region,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": self.stack.name,
        }
        if value := known.get(name) or self.parameters.get(name):
            return value
        if "Default" in (parameter := self.data.get("Parameters", {}).get(name, {})):
            return parameter["Default"]
        resource = self.resources.get(name, {})
        if resource.get("Type") == _REPOSITORY and "RepositoryName" in resource.get("Properties", {}):
            return self.resolver(resource["Properties"]["RepositoryName"])
        return Unknown(name)


def _images(stack: _Stack, template: _Template) -> Iterator[DeclaredImage]:
    created = {
        template.resolver(resource.get("Properties", {}).get("RepositoryName"))
        for resource in template.resources.values()
        if resource.get("Type") == _REPOSITORY
    }
    for logical_id, resource in template.resources.items():
        properties = resource.get("Properties", {})
        if resource.get("Type") == RESOURCE_TYPE:
            resolved = template.resolver({name: value for name, value in properties.items() if name != "ServiceToken"})
            if not isinstance(resolved, dict):
                continue
            yield DeclaredImage(
                stack=stack.display_name,
                stack_name="" if template.is_nested else stack.name,
                account=stack.account,
                region=stack.region,
                path=_path(resource.get("Metadata", {}).get("aws:cdk:path") or stack.paths.get(logical_id, logical_id)),
                logical_id=logical_id,
                properties=resolved,
                template=properties,
                created_here=resolved.get("RepositoryName") in created,
            )
        elif resource.get("Type") == _NESTED_STACK and (file := _nested_file(stack, properties)):
            given = template.resolver(properties.get("Parameters", {}))
            data, parameters = _read(file), given if isinstance(given, dict) else {}
            nested = _Template(stack, data, parameters, template.exports, is_nested=True)
            yield from _images(stack, nested)


def _nested_file(stack: _Stack, properties: Mapping[str, Any]) -> Path | None:
    """Find the template of a nested stack, which is a file asset too; None for one that is not of this app."""
    url = json.dumps(properties.get("TemplateURL"))
    return next((file.path for file in _files(stack) if file.key in url), None)


def _path(path: str) -> str:
    """Return the path of the construct that a person wrote."""
    return path.strip("/").removesuffix("/Default").removesuffix("/Resource")


def metadata_of(folder: Path, kind: str, stacks: Sequence[str] = ()) -> list[object]:
    """
    Return what the constructs of an app said of themselves under *kind*.

    Args:
        stacks: Only of these, by name or as ``Stage/Stack``; empty: all.

    Raises:
        AssemblyError: There is no app, it cannot be read, or has no such stack.
    """
    chosen = _chosen(list(_stacks(folder)), folder, stacks)
    entries = [each for stack in chosen for said in stack.metadata.values() for each in said]
    return [each.get("data") for each in entries if each.get("type") == kind]


def _stacks(folder: Path) -> Iterator[_Stack]:
    if not (folder / "manifest.json").is_file():
        message = f"{folder} is no synthesized app: it has no manifest.json; run cdk synth first"
        raise AssemblyError(message)
    artifacts: Mapping[str, Any] = _read(folder / "manifest.json").get("artifacts", {})
    for name, artifact in artifacts.items():
        properties = artifact.get("properties", {})
        if artifact["type"] == "cdk:cloud-assembly":
            yield from _stacks(folder / properties["directoryName"])
        elif artifact["type"] == "aws:cloudformation:stack":
            account, _, region = artifact["environment"].removeprefix("aws://").partition("/")
            assets = [artifacts[each] for each in artifact.get("dependencies", ()) if each in artifacts]
            yield _Stack(
                name=properties.get("stackName", name),
                display_name=artifact.get("displayName", name),
                account=None if account.startswith("unknown") else account,
                region=None if region.startswith("unknown") else region,
                file=folder / properties["templateFile"],
                metadata=_metadata(folder, artifact),
                assets=tuple(
                    folder / each["properties"]["file"] for each in assets if each["type"] == "cdk:asset-manifest"
                ),
            )


def _metadata(folder: Path, artifact: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what constructs said of themselves, by path; large apps keep it in a file of its own."""
    file = artifact.get("additionalMetadataFile")
    return {**(_read(folder / file) if file else {}), **(artifact.get("metadata") or {})}


def _exports(stacks: Sequence[_Stack]) -> Mapping[str, object]:
    """Return what the app's own stacks export, by name."""
    exports: dict[str, object] = {}
    for stack in stacks:
        template = _Template(stack, _read(stack.file), {})
        for output in template.data.get("Outputs", {}).values():
            name = template.resolver(output.get("Export", {}).get("Name"))
            if isinstance(name, str):
                exports[name] = template.resolver(output["Value"])
    return exports


def _files(stack: _Stack) -> Iterator[StoredFile]:
    """Give the stack's file assets under the names that its template knows them by."""
    resolver = _Template(stack, {}, {}).resolver
    for file in stack.assets:
        for asset in _read(file).get("files", {}).values():
            for place in asset["destinations"].values():
                bucket = resolver({"Fn::Sub": place["bucketName"]})
                yield StoredFile(str(bucket), place["objectKey"], file.parent / asset["source"]["path"])


def _built(stack: _Stack) -> Iterator[str]:
    """Give the tags of the images that the deployment builds: hashes of what they are built from."""
    for file in stack.assets:
        for asset in _read(file).get("dockerImages", {}).values():
            for place in asset["destinations"].values():
                yield place["imageTag"]


def _read(file: Path) -> Mapping[str, Any]:
    try:
        with file.open("rb") as stream:
            text = stream.read(FILE_MAX_BYTES + 1)
        if len(text) > FILE_MAX_BYTES:
            message = f"{file} is longer than the {FILE_MAX_BYTES} bytes that are read"
            raise AssemblyError(message)
        data = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        message = f"{file} cannot be read: {error}; run cdk synth again"
        raise AssemblyError(message) from error
    if not isinstance(data, dict):
        message = f"{file} is no JSON object; run cdk synth again"
        raise AssemblyError(message)
    return data

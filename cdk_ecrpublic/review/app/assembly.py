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

from .template import DeclaredImage, Stack, Template

FILE_MAX_BYTES = 64 * 1024 * 1024
"""Templates end at 1 MB; a manifest or tree of a large app has a few."""

_NESTED_STACK = "AWS::CloudFormation::Stack"


class AssemblyError(Exception):
    """A cloud assembly that cannot be read; the text says where, and what to do."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file asset: where it will be, and where it is now."""

    bucket: str
    key: str
    path: Path


@dataclass(frozen=True, slots=True)
class Assembly:
    """
    All that an app declares of ECR Public.

    Attributes:
        stacks: Those that were asked for, with images or without.
        exports: What all stacks of the app export, by name.
    """

    images: tuple[DeclaredImage, ...]
    files: tuple[StoredFile, ...]
    stacks: tuple[Stack, ...] = ()
    exports: Mapping[str, object] = field(default_factory=dict)


def read_assembly(folder: Path, stacks: Sequence[str] = ()) -> Assembly:
    """
    Read the assembly in *folder*.

    Args:
        stacks: Only these, by name or as ``Stage/Stack``; empty: all.

    Raises:
        AssemblyError: There is none, it cannot be read, or has no such stack.
    """
    found = list(_stacks(folder))
    chosen, exports = _chosen(found, folder, stacks), _exports(found)
    images = [image for stack in chosen for image in _images(Template(stack, _read(stack.file), exports=exports))]
    files = tuple(file for stack in found for file in _files(stack))
    built = {image for stack in found for image in _built(stack)}
    return Assembly(
        images=tuple(_completed(image, files, built) for image in images),
        files=files,
        stacks=tuple(chosen),
        exports=exports,
    )


def _chosen(found: Sequence[Stack], folder: Path, stacks: Sequence[str]) -> list[Stack]:
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


def _images(template: Template) -> Iterator[DeclaredImage]:
    """Give the images of a template and of those that are nested in it."""
    yield from template.images()
    for resource in template.resources.values():
        properties = resource.get("Properties", {})
        if resource.get("Type") == _NESTED_STACK and (file := _nested_file(template.stack, properties)):
            given = template.resolver(properties.get("Parameters", {}))
            parameters = given if isinstance(given, dict) else {}
            yield from _images(Template(template.stack, _read(file), parameters, template.exports, is_nested=True))


def _nested_file(stack: Stack, properties: Mapping[str, Any]) -> Path | None:
    """Find the template of a nested stack, which is a file asset too; None for one that is not of this app."""
    url = json.dumps(properties.get("TemplateURL"))
    return next((file.path for file in _files(stack) if file.key in url), None)


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


def _stacks(folder: Path) -> Iterator[Stack]:
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
            yield Stack(
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


def _exports(stacks: Sequence[Stack]) -> Mapping[str, object]:
    """Return what the app's own stacks export, by name."""
    exports: dict[str, object] = {}
    for stack in stacks:
        template = Template(stack, _read(stack.file))
        for output in template.data.get("Outputs", {}).values():
            name = template.resolver(output.get("Export", {}).get("Name"))
            if isinstance(name, str):
                exports[name] = template.resolver(output["Value"])
    return exports


def _files(stack: Stack) -> Iterator[StoredFile]:
    """Give the stack's file assets under the names that its template knows them by."""
    resolver = Template(stack, {}).resolver
    for file in stack.assets:
        for asset in _read(file).get("files", {}).values():
            for place in asset["destinations"].values():
                bucket = resolver({"Fn::Sub": place["bucketName"]})
                yield StoredFile(str(bucket), place["objectKey"], file.parent / asset["source"]["path"])


def _built(stack: Stack) -> Iterator[str]:
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

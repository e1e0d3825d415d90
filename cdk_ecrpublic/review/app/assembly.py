"""
Read the declared images from a cloud assembly, the output of ``cdk synth``.

Includes nested assemblies (stages) and nested stacks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .declared import DeclaredImage, Stack
from .environment import Environments, UnseenEnvironment
from .template import PARAMETER, App, Template
from .unknown import Unknown, unknowns

FILE_MAX_BYTES = 64 * 1024 * 1024
"""Templates have at most 1 MB. The manifest or tree of a large app has a few MB."""


class AssemblyError(Exception):
    """A cloud assembly cannot be read. The message says where, and what to do."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file asset: its location in S3, and its current path."""

    bucket: str
    key: str
    path: Path


@dataclass(frozen=True, slots=True)
class Assembly:
    """
    The images that an app declares.

    Attributes:
        stacks: The selected stacks, with or without images.
    """

    images: tuple[DeclaredImage, ...]
    files: tuple[StoredFile, ...]
    stacks: tuple[Stack, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """
    Options for reading an assembly.

    Attributes:
        stacks: Only these stacks: patterns of names or of ``Stage/Stack``; empty for all.
        parameters: Values of parameters, by ``Name`` or ``Stack:Name``, as for ``cdk deploy``.
        environments: Returns the environment of an account and Region.
        as_deployed: Whether to use Systems Manager parameters as resolved at the last deployment, not as they are now.
    """

    stacks: Sequence[str] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    environments: Environments = UnseenEnvironment
    as_deployed: bool = False


def read_assembly(folder: Path, stacks: Sequence[str] = (), *, reading: Reading | None = None) -> Assembly:
    """
    Read the assembly in *folder*.

    Args:
        stacks: A shortcut for a *reading* of these stacks.

    Raises:
        AssemblyError: The folder has no app, the app cannot be read, or it does
            not have the stack or parameter.
    """
    reading = reading or Reading(stacks=stacks)
    found = list(_stacks(folder))
    chosen = _chosen(found, folder, reading.stacks)
    templates = _Templates(found, reading)
    templates.check_parameters(chosen)
    files = tuple(file for stack in found for file in templates.files(stack))
    built = {image for stack in found for image in _built(stack)}
    try:
        images = [image for stack in chosen for image in _images(templates.of(stack))]
    except RecursionError as error:
        message = f"a template in {folder} refers to itself; correct it, and run cdk synth again"
        raise AssemblyError(message) from error
    return Assembly(
        images=tuple(_completed(image, files, built) for image in images), files=files, stacks=tuple(chosen)
    )


def _chosen(found: Sequence[Stack], folder: Path, patterns: Sequence[str]) -> list[Stack]:
    """Return the stacks whose name or path matches one of *patterns*, as for ``cdk``."""

    def fits(stack: Stack, pattern: str) -> bool:
        return any(fnmatchcase(name, pattern) for name in (stack.name, stack.display_name))

    if unknown := [pattern for pattern in patterns if not any(fits(stack, pattern) for stack in found)]:
        known = sorted({name for stack in found for name in (stack.name, stack.display_name)})
        message = f"no stack {', '.join(unknown)} in {folder}; its stacks are: {', '.join(known) or 'none'}"
        raise AssemblyError(message)
    return [stack for stack in found if not patterns or any(fits(stack, pattern) for pattern in patterns)]


class _Templates(App):
    """The templates of an app, each read once."""

    def __init__(self, stacks: Sequence[Stack], reading: Reading) -> None:
        self._stacks, self._reading = stacks, reading
        self._roots = {id(stack): self._root(stack) for stack in stacks}
        self._nested: dict[tuple[int, str], Template | None] = {}
        self._files: dict[int, list[StoredFile]] = {}
        self._created: list[object] | None = None
        self._parameters: list[tuple[Template, object, object]] | None = None

    def of(self, stack: Stack) -> Template:
        """Return the template of a stack."""
        return self._roots[id(stack)]

    def files(self, stack: Stack) -> list[StoredFile]:
        """Return the file assets of a stack, by the names that its template uses."""
        if id(stack) not in self._files:
            self._files[id(stack)] = list(_files(self.of(stack)))
        return self._files[id(stack)]

    def check_parameters(self, chosen: Sequence[Stack]) -> None:
        """
        Check that the chosen stacks have all given parameters.

        Raises:
            AssemblyError: They do not have one of them.
        """
        known = {
            name
            for stack in chosen
            for parameter in self.of(stack).data.get("Parameters", {})
            for name in (parameter, f"{stack.name}:{parameter}", f"{stack.display_name}:{parameter}")
        }
        if unknown := sorted(set(self._reading.parameters) - known):
            own = sorted(name for name in known if ":" not in name and name != "BootstrapVersion")
            known_names = ", ".join(own) or "none"
            message = f"no parameter {', '.join(unknown)} in the chosen stacks; their parameters are: {known_names}"
            raise AssemblyError(message)

    def nested(self, template: Template, logical_id: str) -> Template | None:
        """Return the template of a nested stack, which is a file asset; None if it is not in this app."""
        key = id(template), logical_id
        if key not in self._nested:
            self._nested[key] = self._read_nested(template, logical_id)
        return self._nested[key]

    def export(self, importer: Template, name: str) -> object:
        """Return an export of a stack of the app in the same environment; None if the deployed one counts."""
        near = [template for template in self._roots.values() if _place(template) == _place(importer)]
        exporters = ((each, output) for each in near for exported, output in each.exports() if exported == name)
        found = next(exporters, None)
        return _coming(*found) if found else None

    def stack_output(self, importer: Template, name: str, output: str, region: str) -> object:
        """Return an output of a stack of the app; None if the deployed one counts."""
        account, own_region = _place(importer)
        for template in self._roots.values():
            if name == template.stack.name and _place(template) == (account, region or own_region):
                return _coming(template, output)
        return None

    def stores(self, reader: Template, name: str) -> Iterator[tuple[Template, object]]:
        """Yield the templates that set a Systems Manager parameter in the same environment, with the value."""
        if self._parameters is None:
            # A name or value may contain another parameter: those that are found meanwhile do not count for it.
            self._parameters = []
            self._parameters = [entry for root in self._roots.values() for each in tree(root) for entry in _sets(each)]
        for template, known, value in self._parameters:
            if known == name and _place(template) == _place(reader):
                yield template, value

    def creates(self, stack: Stack, repository: object) -> bool:  # noqa: ARG002
        """Whether a stack of the app creates this repository."""
        if self._created is None:
            self._created = [
                name for root in self._roots.values() for each in tree(root) for name in each.repositories()
            ]
        return repository in self._created

    def _root(self, stack: Stack) -> Template:
        own = {}
        for name, value in self._reading.parameters.items():
            owner, colon, parameter = name.rpartition(":")
            if not colon or owner in {stack.name, stack.display_name}:
                own[parameter] = value
        environment = self._reading.environments(stack.account, stack.region)
        return Template(stack, _read(stack.file), environment, self, given=own, as_deployed=self._reading.as_deployed)

    def _read_nested(self, template: Template, logical_id: str) -> Template | None:
        resource = template.resources[logical_id]
        properties = resource.get("Properties", {})
        url = json.dumps(properties.get("TemplateURL"))
        file = next((file.path for file in self.files(template.stack) if file.key in url), None)
        if file is None:
            return None
        given = template.resolver(properties.get("Parameters", {}))
        existence = template.exists(resource)
        return replace(
            template,
            data=_read(file),
            given=given if isinstance(given, Mapping) else {},
            nested_in=(*template.nested_in, logical_id),
            name=template.name_of_nested(logical_id),
            existence=template.existence if existence is True else existence,
        )


def _sets(template: Template) -> Iterator[tuple[Template, object, object]]:
    """Yield the names and values of the Systems Manager parameters that a template sets."""
    for resource in template.resources.values():
        properties = resource.get("Properties", {}) if isinstance(resource, Mapping) else {}
        if "Name" in properties and resource.get("Type") == PARAMETER and template.exists(resource):
            yield template, template.resolver(properties["Name"]), template.resolver(properties.get("Value"))


def _place(template: Template) -> tuple[str | Unknown, str | Unknown]:
    """Return the account and Region of a template."""
    return template.environment.account, template.environment.region


def _coming(template: Template, output: str) -> object:
    """Return an output as its stack will have it; None if it stays as it is deployed, or does not exist."""
    value = template.output(output)
    return None if any(unknowns(value)) and template.keeps_output(output) else value


def tree(template: Template) -> Iterator[Template]:
    """Yield a template and the templates that are nested in it."""
    yield template
    for nested in template.nested():
        yield from tree(nested)


def _completed(image: DeclaredImage, files: Sequence[StoredFile], built: AbstractSet[str]) -> DeclaredImage:
    """Add the facts from asset manifests: the locations of files, and whether the image is built."""
    buckets = {file.key: file.bucket for file in files}

    def located(value: Any) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(value, list):
            return [located(item) for item in value]
        if not isinstance(value, dict):
            return value
        # The bucket name may contain the account id, which is unknown. The local file does not depend on it.
        is_hidden = isinstance(value.get("Bucket"), Unknown) and value.get("Key") in buckets
        known = {"Bucket": buckets[value["Key"]]} if is_hidden else {}
        return {name: located(item) for name, item in value.items()} | known

    source = json.dumps(image.properties.get("Source"), default=str)
    return replace(image, properties=located(dict(image.properties)), built_here=any(tag in source for tag in built))


def _images(template: Template) -> Iterator[DeclaredImage]:
    """Yield the images of a template and of the templates that are nested in it."""
    for each in tree(template):
        yield from each.images()


def metadata_of(folder: Path, kind: str, stacks: Sequence[str] = ()) -> list[object]:
    """
    Return the metadata of type *kind* that the constructs of an app added.

    Args:
        stacks: Only of these stacks: patterns of names or of ``Stage/Stack``; empty for all.

    Raises:
        AssemblyError: The folder has no app, the app cannot be read, or it does not have the stack.
    """
    chosen = _chosen(list(_stacks(folder)), folder, stacks)
    entries = [each for stack in chosen for said in stack.metadata.values() for each in said]
    return [each.get("data") for each in entries if each.get("type") == kind]


def _stacks(folder: Path) -> Iterator[Stack]:
    if not (folder / "manifest.json").is_file():
        message = f"{folder} is not a synthesized app: it has no manifest.json; run cdk synth first"
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
    """Return the metadata of constructs, by path. In large apps, it is in a separate file."""
    file = artifact.get("additionalMetadataFile")
    return {**(_read(folder / file) if file else {}), **(artifact.get("metadata") or {})}


def _files(template: Template) -> Iterator[StoredFile]:
    for file in template.stack.assets:
        for asset in _read(file).get("files", {}).values():
            for place in asset["destinations"].values():
                bucket = template.resolver({"Fn::Sub": place["bucketName"]})
                yield StoredFile(str(bucket), place["objectKey"], file.parent / asset["source"]["path"])


def _built(stack: Stack) -> Iterator[str]:
    """Yield the tags of image assets, which are hashes of their build inputs."""
    for file in stack.assets:
        for asset in _read(file).get("dockerImages", {}).values():
            for place in asset["destinations"].values():
                yield place["imageTag"]


def _read(file: Path) -> Mapping[str, Any]:
    try:
        with file.open("rb") as stream:
            text = stream.read(FILE_MAX_BYTES + 1)
        if len(text) > FILE_MAX_BYTES:
            message = f"{file} is longer than the allowed {FILE_MAX_BYTES} bytes"
            raise AssemblyError(message)
        data = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        message = f"{file} cannot be read: {error}; run cdk synth again"
        raise AssemblyError(message) from error
    if not isinstance(data, dict):
        message = f"{file} is not a JSON object; run cdk synth again"
        raise AssemblyError(message)
    return data

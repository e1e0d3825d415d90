"""
The app as ``cdk synth`` wrote it: the images that it declares.

Reads the cloud assembly, with nested assemblies (stages) and nested stacks.
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
from .template import App, Template
from .unknown import Unknown

FILE_MAX_BYTES = 64 * 1024 * 1024
"""Templates end at 1 MB; a manifest or tree of a large app has a few."""


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
    """

    images: tuple[DeclaredImage, ...]
    files: tuple[StoredFile, ...]
    stacks: tuple[Stack, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """
    How an assembly is read.

    Attributes:
        stacks: Only these: patterns of names or of ``Stage/Stack``; empty: all.
        parameters: Values of parameters, by ``Name`` or ``Stack:Name``, as ``cdk deploy`` takes them.
        environments: What is known of accounts and Regions.
        as_deployed: What a parameter of Systems Manager stood for at the last deployment counts, not its value now.
    """

    stacks: Sequence[str] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    environments: Environments = UnseenEnvironment
    as_deployed: bool = False


def read_assembly(folder: Path, stacks: Sequence[str] = (), *, reading: Reading | None = None) -> Assembly:
    """
    Read the assembly in *folder*.

    Args:
        stacks: Short for a *reading* of these stacks.

    Raises:
        AssemblyError: There is none, it cannot be read, has no such stack, or
            no such parameter.
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
    """Return the stacks that one of *patterns* fits, as ``cdk`` takes them: by name, or by path."""

    def fits(stack: Stack, pattern: str) -> bool:
        return any(fnmatchcase(name, pattern) for name in (stack.name, stack.display_name))

    if unknown := [pattern for pattern in patterns if not any(fits(stack, pattern) for stack in found)]:
        known = sorted({name for stack in found for name in (stack.name, stack.display_name)})
        message = f"no stack {', '.join(unknown)} in {folder}; there are: {', '.join(known) or 'none'}"
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

    def of(self, stack: Stack) -> Template:
        """Return the template of a stack."""
        return self._roots[id(stack)]

    def files(self, stack: Stack) -> list[StoredFile]:
        """List the file assets of a stack under the names that its template knows them by."""
        if id(stack) not in self._files:
            self._files[id(stack)] = list(_files(self.of(stack)))
        return self._files[id(stack)]

    def check_parameters(self, chosen: Sequence[Stack]) -> None:
        """
        Look whether each parameter that is given is one of a chosen stack.

        Raises:
            AssemblyError: One is not.
        """
        known = {
            name
            for stack in chosen
            for parameter in self.of(stack).data.get("Parameters", {})
            for name in (parameter, f"{stack.name}:{parameter}", f"{stack.display_name}:{parameter}")
        }
        if unknown := sorted(set(self._reading.parameters) - known):
            own = sorted(name for name in known if ":" not in name and name != "BootstrapVersion")
            message = f"no parameter {', '.join(unknown)} in the chosen stacks; there are: {', '.join(own) or 'none'}"
            raise AssemblyError(message)

    def nested(self, template: Template, logical_id: str) -> Template | None:
        """Return the template of a nested stack, which is a file asset too; None for one that is not of this app."""
        key = id(template), logical_id
        if key not in self._nested:
            self._nested[key] = self._read_nested(template, logical_id)
        return self._nested[key]

    def export(self, stack: Stack, name: str) -> object:
        """Return what a stack of the app exports in the same environment; None: none does."""
        place = stack.account, stack.region
        for template in self._roots.values():
            if (template.stack.account, template.stack.region) == place:
                output = next((output for exported, output in template.exports() if exported == name), None)
                if output is not None:
                    return template.output(output)
        return None

    def stack_output(self, stack: Stack, name: str, output: str, region: str) -> object:
        """Return an output of a stack of the app; None: there is none."""
        for template in self._roots.values():
            if name == template.stack.name and template.stack.region == (region or stack.region):
                return template.output(output)
        return None

    def creates(self, stack: Stack, repository: object) -> bool:  # noqa: ARG002
        """Return whether a stack of the app creates this repository."""
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


def tree(template: Template) -> Iterator[Template]:
    """Give a template and those that are nested in it."""
    yield template
    for nested in template.nested():
        yield from tree(nested)


def _completed(image: DeclaredImage, files: Sequence[StoredFile], built: AbstractSet[str]) -> DeclaredImage:
    """Add what the asset manifests say: where files will be, and which images are built."""
    buckets = {file.key: file.bucket for file in files}

    def located(value: Any) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(value, list):
            return [located(item) for item in value]
        if not isinstance(value, dict):
            return value
        # The bucket's name may have the account in it; the file is here, whatever its name will be.
        is_hidden = isinstance(value.get("Bucket"), Unknown) and value.get("Key") in buckets
        known = {"Bucket": buckets[value["Key"]]} if is_hidden else {}
        return {name: located(item) for name, item in value.items()} | known

    source = json.dumps(image.properties.get("Source"), default=str)
    return replace(image, properties=located(dict(image.properties)), built_here=any(tag in source for tag in built))


def _images(template: Template) -> Iterator[DeclaredImage]:
    """Give the images of a template and of those that are nested in it."""
    for each in tree(template):
        yield from each.images()


def metadata_of(folder: Path, kind: str, stacks: Sequence[str] = ()) -> list[object]:
    """
    Return what the constructs of an app said of themselves under *kind*.

    Args:
        stacks: Only of these: patterns of names or of ``Stage/Stack``; empty: all.

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
    """Return what constructs said of themselves, by path; large apps keep it in a file of its own."""
    file = artifact.get("additionalMetadataFile")
    return {**(_read(folder / file) if file else {}), **(artifact.get("metadata") or {})}


def _files(template: Template) -> Iterator[StoredFile]:
    for file in template.stack.assets:
        for asset in _read(file).get("files", {}).values():
            for place in asset["destinations"].values():
                bucket = template.resolver({"Fn::Sub": place["bucketName"]})
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
        message = f"{file} is not a JSON object; run cdk synth again"
        raise AssemblyError(message)
    return data

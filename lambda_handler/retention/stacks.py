"""What the CloudFormation stacks of the account declare in a repository: from their templates and the records."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..aws.templates import SETTLED, StackReader, resolve_known
from ..errors import InvalidPropertiesError, RejectedError
from ..oci import Digest
from ..resources.record import Record
from ..resources.records import ROOT
from ..resources.turn import ID_PREFIX
from ..retry import Retry
from ..spec import RESOURCE_TYPE, Property, as_sent, decode
from .decision import Declared

_GONE = frozenset({"DELETE_COMPLETE", "REVIEW_IN_PROGRESS"})

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

_HINT = "until that is possible, no image of the repository is removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacks:
    """
    Reads what is declared in one repository.

    Attributes:
        client: Returns the CloudFormation client of a Region.
        regions: The Regions whose stacks are read.
        records: Returns the texts of all records below a path, by name.
        account: The account of the registry.
        repository: The name of the repository.
    """

    client: Callable[[str], Any]
    regions: Sequence[str]
    records: Callable[[str], Mapping[str, str]]
    account: str
    repository: str
    retry: Retry

    def read(self) -> Declared:
        """
        Read the declarations.

        Raises:
            RemoteError: A stack or record cannot be read, or is being deployed.
        """
        found = _Found()
        reader = StackReader(client=self.client, retry=self.retry, hint=_HINT)
        for region in self.regions:
            stacks = {each["StackId"]: each for each in reader.stacks(region) if each["StackStatus"] not in _GONE}
            for stack in stacks.values():
                # A nested stack is settled while its root can still be rolled back.
                root = stacks.get(stack.get("RootId", ""), stack)
                statuses = {stack["StackStatus"], root["StackStatus"]}
                self._add_stack(reader, region, stack, found, is_settled=statuses <= SETTLED)
        self._add_records(found)
        return Declared(tags=found.tags, digests=found.digests, immutable=frozenset(found.immutable))

    def _add_stack(
        self,
        reader: StackReader,
        region: str,
        stack: Mapping[str, str],
        found: _Found,
        *,
        is_settled: bool,
    ) -> None:
        resources = list(reader.resources(region, stack["StackId"]))
        images = [each for each in resources if self._is_mine(each) or each["ResourceType"] == RESOURCE_TYPE]
        if is_settled and not images:
            return
        name = f"{region}.{stack['StackName']}"
        described = reader.describe(region, stack["StackId"])
        template, parameters = reader.template(region, described)
        if not (is_settled and described["StackStatus"] in SETTLED):
            # What it declares before or after, and in which repository, is not known.
            if _has_images(template, resources):
                error = _unreadable(f"stack {name} is being deployed, or has failed: {described['StackStatus']}")
                raise error
            return
        # Of nearly all types, `Ref` is the physical id.
        references = {each["LogicalResourceId"]: each.get("PhysicalResourceId", "") for each in resources}
        for resource in images:
            logical_id = resource["LogicalResourceId"]
            declared = template["Resources"].get(logical_id, {}).get("Properties", {})
            resolved = as_sent(resolve_known(declared, {**references, **parameters}))
            owner, is_mine = f"{name}.{logical_id}", self._is_mine(resource)
            if is_mine:
                found.add(owner, {**resolved, Property.REPOSITORY_NAME: self.repository})
            found.add_source(owner, resolved.get(Property.SOURCE), self.repository, is_mine=is_mine)

    def _is_mine(self, resource: Mapping[str, str]) -> bool:
        """Whether a resource declares an image in this repository."""
        mine = f"{ID_PREFIX}{self.account}/{self.repository}:"
        return resource.get("PhysicalResourceId", "").startswith(mine)

    def _add_records(self, found: _Found) -> None:
        path = f"{ROOT}/{self.account}/{self.repository.replace('/', '--')}"
        for name, text in self.records(path).items():
            _, segment, owner = name.rsplit("/", 2)
            try:
                record = Record.parse(text)
            except ValueError as error:
                unreadable = _unreadable(f"the record of {owner} has a format that this version does not know")
                raise unreadable from error
            found.add_record(owner, segment, record)
        if found.only_recorded:
            owner = min(found.only_recorded)
            unrecorded = _unreadable(f"{owner} declares a mutable source without a tag, and has no record of its image")
            raise unrecorded


@dataclass
class _Found:
    """
    Collects what is declared.

    Attributes:
        only_recorded: The resources whose image only a record names.
    """

    tags: dict[str, str] = field(default_factory=dict)
    digests: dict[Digest, str] = field(default_factory=dict)
    immutable: set[str] = field(default_factory=set)
    only_recorded: set[str] = field(default_factory=set)

    def add(self, owner: str, properties: Mapping[str, object]) -> None:
        """
        Add the declaration of a resource.

        Raises:
            RejectedError: It cannot be read, for example because a tag is not known.
        """
        try:
            declaration = decode(properties)
        except InvalidPropertiesError as error:
            unreadable = _unreadable(f"the declaration of {owner} is not known here: {error.problems[0]}")
            raise unreadable from error
        self.tags |= dict.fromkeys(declaration.tags, owner)
        patterns = properties.get(Property.IMMUTABLE_TAGS, [])
        self.immutable.update(map(str, patterns if isinstance(patterns, list) else ()))
        # All digests in the declaration, also those of an index's parts.
        digests = _DIGEST.findall(json.dumps(properties, default=str))
        self.digests |= {Digest.parse(each): owner for each in digests}
        if declaration.pinned is not None:
            self.digests[declaration.pinned] = owner
        elif not declaration.tags:
            self.only_recorded.add(owner)

    def add_source(self, owner: str, source: object, repository: str, *, is_mine: bool) -> None:
        """
        Add the images of the repository that a source names. The next deployment may read them again.

        Args:
            is_mine: Whether the resource itself is in the repository, so that a bare tag is one of it.

        Raises:
            RejectedError: The template computes a name from what is not known, which may be this repository.
        """
        names = list(_names(source))
        if any(not isinstance(name, str) and _may_name_public(name) for _, name in names):
            unreadable = _unreadable(f"the template computes the source of {owner}")
            raise unreadable
        tags = {str(name) for key, name in names if key == "Tag" and is_mine}
        digests: set[Digest] = set()
        named = rf'"[^"/]+/[^"/]+/{re.escape(repository)}(?::([\w.-]+))?(?:@(sha256:[0-9a-f]{{64}}))?"'
        for tag, digest in re.findall(named, json.dumps(source, default=str)):
            digests |= {Digest.parse(digest)} if digest else set()
            tags |= set() if digest else {tag or "latest"}
        self.tags |= dict.fromkeys(tags - self.tags.keys(), f"the source of {owner}")
        self.digests |= dict.fromkeys(digests - self.digests.keys(), f"the source of {owner}")

    def add_record(self, owner: str, segment: str, record: Record) -> None:
        """Add what a record protects: what was deployed, and what an undo needs."""
        self.tags |= dict.fromkeys(record.tags or (), owner)
        needed = [*record.deployed.values(), *(record.found or {}).values(), *record.put, *record.lists]
        of_segment = [f"sha256:{segment}"] if _DIGEST.fullmatch(f"sha256:{segment}") else []
        self.digests |= dict.fromkeys([*needed, *map(Digest.parse, of_segment)], owner)
        if record.deployed:
            self.only_recorded.discard(owner)


def _names(source: object) -> Iterator[tuple[str, object]]:
    """Yield what names images in a source, also in that of a part of an index, with its property."""
    for key, each in source.items() if isinstance(source, Mapping) else ():
        if key in {"Reference", "Tag", "Digest"}:
            yield key, each
        yield from _names(each)
    for each in source if isinstance(source, list) else ():
        yield from _names(each)


def _may_name_public(expression: object) -> bool:
    """Whether an expression may be an image outside private ECR, whose host has a fixed part."""
    return ".dkr.ecr" not in json.dumps(expression, default=str)


def _has_images(template: Mapping[str, Any], resources: Sequence[Mapping[str, str]]) -> bool:
    """Whether a stack has images, has had some, or is about to."""
    types = [each.get("Type") for each in template.get("Resources", {}).values()]
    return RESOURCE_TYPE in {*types, *(each["ResourceType"] for each in resources)}


def _unreadable(why: str) -> RejectedError:
    return RejectedError(why, operation="cloudformation:GetTemplate", hint=_HINT)

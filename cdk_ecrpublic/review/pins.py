"""The mutable names of an app, what they stand for now, and what ``cdk.context.json`` has of them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._assets.lambda_handler.concurrency import map_concurrently
from .._assets.lambda_handler.errors import ImageError, NotFoundError
from .._assets.lambda_handler.oci import Reference, is_account_id
from .._assets.lambda_handler.spec import decode
from ..constructs._pin_names import KEY, METADATA
from .app.assembly import AssemblyError, metadata_of
from .effect import AT_ONCE
from .live.registry import Registry

CONTEXT_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class MutableName:
    """
    A name that may come to stand for another image.

    Attributes:
        key: Of the context.
        reference: With its registry's host; empty for a tag of the target repository.
        registry_id: Account or alias of the target repository; empty: the account that deploys, whichever it is.
        credentials_secret_arn: Empty: none, or not known before deployment.
    """

    key: str
    reference: str = ""
    has_credentials: bool = False
    credentials_secret_arn: str = ""
    repository_name: str = ""
    registry_id: str = ""
    tag: str = ""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.key.removeprefix(KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """
    A name, and its digest before and now.

    Attributes:
        before: What the context has; None: nothing.
        now: What the name stands for; None: it could not be found out.
        problem: Why not, and what to do.
    """

    name: str
    key: str
    before: str | None
    now: str | None = None
    problem: str = ""

    @property
    def is_current(self) -> bool:
        """Whether the context says what the registry says."""
        return self.now is not None and self.before == self.now


def read_names(folder: Path, stacks: Sequence[str] = ()) -> list[MutableName]:
    """
    List the mutable names of the app in *folder*, each once, pinned or not.

    Args:
        stacks: Only of these, by name or as ``Stage/Stack``; empty: all.

    Raises:
        AssemblyError: There is none, it cannot be read, or has no such stack.
    """
    entries = metadata_of(folder, METADATA, stacks)
    found = [data for data in entries if isinstance(data, Mapping) and "key" in data]
    # Of those who use a name, the one with the best credentials says how to read it.
    found.sort(key=lambda data: (bool(data.get("credentialsSecretArn")), bool(data.get("hasCredentials"))))
    names = {str(data["key"]): data for data in found}
    return [
        MutableName(
            key=key,
            reference=str(data.get("reference", "")),
            has_credentials=bool(data.get("hasCredentials")),
            credentials_secret_arn=str(data.get("credentialsSecretArn", "")),
            repository_name=str(data.get("repositoryName", "")),
            registry_id=str(data.get("registryId", "")),
            tag=str(data.get("tag", "")),
        )
        for key, data in sorted(names.items())
    ]


def find_pins(
    names: Sequence[MutableName],
    context: Mapping[str, object],
    registry: Registry,
    done: Callable[[Pin], None] = lambda _: None,
) -> list[Pin]:
    """
    Find out what all *names* stand for, several at once.

    Args:
        context: Of ``cdk.context.json``.
        done: Called with each pin as soon as it is known, by any thread.
    """
    accounts = {name.registry_id for name in names if is_account_id(name.registry_id)}
    ambiguous = accounts if registry.home and len(accounts) > 1 else set()

    def find(name: MutableName) -> Pin:
        value = context.get(name.key)
        before = value if isinstance(value, str) else None
        if name.registry_id in ambiguous:
            problem = f"{registry.home} is the registry of one account; choose the stacks of that account by --stack"
            pin = Pin(name=name.name, key=name.key, before=before, problem=problem)
        else:
            pin = _find(name, before, registry)
        done(pin)
        return pin

    return map_concurrently(find, names, max_workers=AT_ONCE)


def _find(name: MutableName, before: str | None, registry: Registry) -> Pin:
    try:
        return Pin(name=name.name, key=name.key, before=before, now=_digest(name, registry))
    except ImageError as error:
        problem = error.explain()
        if name.has_credentials and not name.credentials_secret_arn:
            problem += "; its secret is known at deployment only, so it was read without credentials"
        if isinstance(error, NotFoundError) and is_account_id(name.registry_id) and registry.clients.has_credentials:
            problem += f"; only credentials of account {name.registry_id} find what is its own: pin by --stack"
        return Pin(name=name.name, key=name.key, before=before, problem=problem)


def _digest(name: MutableName, registry: Registry) -> str:
    if name.reference:
        reference = Reference.parse(name.reference)
        return str(registry.remote(reference.repository, name.credentials_secret_arn).resolve(reference).digest)
    properties = {"RepositoryName": name.repository_name, "Source": {"Tag": name.tag}}
    declaration = decode({**properties, **({"RegistryId": name.registry_id} if name.registry_id else {})})
    repository = registry.ports(declaration).destination
    digest = repository.resolve([name.tag]).get(name.tag)
    if digest is None:
        message = f"there is no tag {name.tag!r} in {repository.repository}"
        raise NotFoundError(message, operation="resolving a tag", hint="push it, or correct the name")
    return str(digest)


def unused(names: Sequence[MutableName], context: Mapping[str, object]) -> Iterator[str]:
    """Give the keys of ours that no source of the app asks for."""
    asked = {name.key for name in names}
    return (key for key in sorted(context) if key.startswith(KEY) and key not in asked)


def read_context(file: Path) -> dict[str, Any]:
    """
    Read ``cdk.context.json``; one that does not exist is empty.

    Raises:
        AssemblyError: It is no JSON object.
    """
    if not file.exists():
        return {}
    try:
        with file.open("rb") as stream:
            text = stream.read(CONTEXT_MAX_BYTES + 1)
        if len(text) > CONTEXT_MAX_BYTES:
            message = f"{file} is longer than the {CONTEXT_MAX_BYTES} bytes that are read"
            raise AssemblyError(message)
        context = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        message = f"{file} cannot be read: {error}"
        raise AssemblyError(message) from error
    if not isinstance(context, dict):
        message = f"{file} is no JSON object"
        raise AssemblyError(message)
    return context


def write_context(file: Path, context: Mapping[str, object]) -> None:
    """
    Write it as the CDK does, at once or not at all: everybody's looked-up values are in it.

    Raises:
        AssemblyError: It cannot be written; it is as it was then.
    """
    # What a link points to is replaced, and not the link.
    target = file.resolve()
    text = json.dumps(context, indent=2, ensure_ascii=False) + "\n"
    written: Path | None = None
    try:
        with tempfile.NamedTemporaryFile("wb", dir=target.parent, prefix=f".{file.name}-", delete=False) as stream:
            written = Path(stream.name)
            stream.write(text.encode())
        written.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o644)
        written.replace(target)
    except OSError as error:
        if written is not None:
            written.unlink(missing_ok=True)
        message = f"{file} cannot be written: {error.strerror or error}"
        raise AssemblyError(message) from error

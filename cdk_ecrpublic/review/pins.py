"""The mutable names of an app, their digests in the registry, and their pins in ``cdk.context.json``."""

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
from .effect import MAX_CONCURRENT_IMAGES
from .live.registry import Registry

CONTEXT_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class MutableName:
    """
    A reference that may resolve to another image later.

    Attributes:
        key: The key in ``cdk.context.json``.
        reference: The reference with the host of its registry; empty for a tag of the destination repository.
        registry_id: Account or alias of the destination repository; empty for the account that deploys.
        credentials_secret_arn: Empty if there is none, or it is not known before deployment.
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
        """The name for messages."""
        return self.key.removeprefix(KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """
    A name with its pinned and its current digest.

    Attributes:
        before: The digest in the context; None if there is none.
        now: The digest in the registry; None if the name could not be resolved.
        problem: Why it could not be resolved, and what to do.
    """

    name: str
    key: str
    before: str | None
    now: str | None = None
    problem: str = ""

    @property
    def is_current(self) -> bool:
        """Whether the digest in the context is that in the registry."""
        return self.now is not None and self.before == self.now


def read_names(folder: Path, stacks: Sequence[str] = ()) -> list[MutableName]:
    """
    List the mutable names of the app in *folder*, pinned or not, without duplicates.

    Args:
        stacks: Only names of these stacks, by name or as ``Stage/Stack``; empty for all.

    Raises:
        AssemblyError: The folder has no app, the app cannot be read, or it does not have the stack.
    """
    entries = metadata_of(folder, METADATA, stacks)
    found = [data for data in entries if isinstance(data, Mapping) and "key" in data]
    # If several sources use a name, it is read with the best credentials among them.
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
    Resolve *names*, several concurrently.

    Args:
        context: The content of ``cdk.context.json``.
        done: Is called with each pin, by any thread.
    """
    accounts = {name.registry_id for name in names if is_account_id(name.registry_id)}
    ambiguous = accounts if registry.home and len(accounts) > 1 else set()

    def find(name: MutableName) -> Pin:
        value = context.get(name.key)
        before = value if isinstance(value, str) else None
        if name.registry_id in ambiguous:
            problem = f"{registry.home} is the registry of one account; select the stacks of that account with --stack"
            pin = Pin(name=name.name, key=name.key, before=before, problem=problem)
        else:
            pin = _find(name, before, registry)
        done(pin)
        return pin

    return map_concurrently(find, names, max_workers=MAX_CONCURRENT_IMAGES)


def _find(name: MutableName, before: str | None, registry: Registry) -> Pin:
    try:
        return Pin(name=name.name, key=name.key, before=before, now=_digest(name, registry))
    except ImageError as error:
        problem = error.explain()
        if name.has_credentials and not name.credentials_secret_arn:
            problem += "; its secret is not known before deployment, so it was read without credentials"
        if isinstance(error, NotFoundError) and is_account_id(name.registry_id) and registry.clients.has_credentials:
            problem += f"; this needs credentials of account {name.registry_id}: pin its stacks separately with --stack"
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
        message = f"the tag {name.tag!r} does not exist in {repository.repository}"
        raise NotFoundError(message, operation="resolving a tag", hint="push it, or correct the name")
    return str(digest)


def unused(names: Sequence[MutableName], context: Mapping[str, object]) -> Iterator[str]:
    """Yield the keys of pins that no source of the app uses."""
    asked = {name.key for name in names}
    return (key for key in sorted(context) if key.startswith(KEY) and key not in asked)


def read_context(file: Path) -> dict[str, Any]:
    """
    Read ``cdk.context.json``. If it does not exist, return an empty context.

    Raises:
        AssemblyError: It cannot be read, or is not a JSON object.
    """
    if not file.exists():
        return {}
    try:
        with file.open("rb") as stream:
            text = stream.read(CONTEXT_MAX_BYTES + 1)
        if len(text) > CONTEXT_MAX_BYTES:
            message = f"{file} is longer than the allowed {CONTEXT_MAX_BYTES} bytes"
            raise AssemblyError(message)
        context = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        message = f"{file} cannot be read: {error}"
        raise AssemblyError(message) from error
    if not isinstance(context, dict):
        message = f"{file} is not a JSON object"
        raise AssemblyError(message)
    return context


def write_context(file: Path, context: Mapping[str, object]) -> None:
    """
    Write ``cdk.context.json`` as the CDK does, atomically, because it also has the lookups of other constructs.

    Raises:
        AssemblyError: It cannot be written. The file is then unchanged.
    """
    # If the file is a symbolic link, its target is replaced.
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

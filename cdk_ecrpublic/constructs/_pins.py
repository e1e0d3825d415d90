"""
Mutable references that are pinned to a digest.

``cdk-ecrpublic pin`` writes digests to ``cdk.context.json``, where the CDK caches
its lookups, and this module reads them. A pinned reference is rendered as its
digest, so that ``cdk diff`` shows when it changes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aws_cdk import Annotations, Stack
from constructs import Construct

from .._assets.lambda_handler.errors import ImageError
from .._assets.lambda_handler.oci import Digest
from ._pin_names import KEY, METADATA
from ._sources.base import SourceBinding
from ._validation.values import is_known
from .public_repository import IPublicRepository

URL_SUFFIX = "amazonaws.com"
"""The domain of hosts in the only partition with ECR Public."""

PUBLIC_HOST, UNKNOWN_REGISTRY = "public.ecr.aws", "-"
"""The host in the name of a tag of the destination repository, and the placeholder for an unknown registry."""

_TAG = re.compile(r"[\w.-]+", re.ASCII)
"""A source that is a tag alone is in the destination repository."""


@dataclass
class Pinning:
    """
    The mutable references of one source, looked up in the context.

    Attributes:
        pinned: References whose digest is in the context.
        unpinned: References that the command can pin, but has not pinned.
    """

    image: Construct
    repository: IPublicRepository
    pinned: set[str] = field(default_factory=set)
    unpinned: set[str] = field(default_factory=set)

    def apply(self, binding: SourceBinding) -> SourceBinding:
        """
        Replace the mutable references of a source with the digests in the context.

        Raises:
            ValueError: A value in the context is not a digest.
        """
        properties = self._replaced(binding.properties, frozenset(binding.mutable_tags))
        left = tuple(name for name in binding.mutable_tags if name not in self.pinned)
        return replace(binding, properties=properties, mutable_tags=left)

    def warn_of(self, names: Sequence[str]) -> None:
        """Warn about mutable references, and say how to avoid them."""
        if not names:
            return
        ways = ["name the image by digest"]
        if self.unpinned:
            ways.append("run `cdk-ecrpublic pin` to keep its digest in cdk.context.json")
        others = [self._shown(name) for name in names if name not in self.unpinned]
        cannot = f"; `cdk-ecrpublic pin` cannot pin {', '.join(others)}: it pins only tags that synthesis knows"
        Annotations.of(self.image).add_warning_v2(
            "@cdk-ecrpublic:mutableTag",
            f"the source may later point to another image: {', '.join(map(self._shown, names))}; "
            "cdk diff cannot see that, and CloudFormation does not deploy again when it happens; "
            f"{', '.join([*ways, ''])}or change refresh= to have it read again{cannot if others else ''}",
        )

    def _shown(self, name: str) -> str:
        """Return a mutable reference for a message, as far as it is known at synthesis."""
        parts = _parts(self.image, name)
        if parts == [None]:
            return "a tag that is not known before deployment"
        text = "".join("…" if part is None else part for part in parts)
        return f"tag {text!r} of repository {self.repository.identity!r}" if _TAG.fullmatch(text) else text

    def _replaced(self, source: Any, mutable: frozenset[str]) -> Any:  # noqa: ANN401 - the value of a Source property
        match source:
            case {"Index": {"Manifests": [*parts], **others}}:
                manifests = [{**part, "Source": self._replaced(part["Source"], mutable)} for part in parts]
                return {"Index": {"Manifests": manifests, **others}}
            case {"Tag": str(tag)} if tag in mutable:
                if digest := self._look_up(tag, _own_tag(self.image, self.repository, tag)):
                    return {"Digest": digest}
            case {"Image": {"Reference": str(reference), **others}} if reference in mutable:
                if digest := self._look_up(reference, _reference(self.image, reference, others)):
                    # Keep the tag, so that people see what was pinned.
                    return {"Image": {"Reference": f"{reference}@{digest}", **others}}
        return source

    def _look_up(self, mutable: str, name: _Name | None) -> str | None:
        if name is None:
            return None
        key = f"{KEY}{name.text}"
        about = {each: value for each, value in name.about.items() if value}
        self.image.node.add_metadata(METADATA, {"key": key, **about})
        digest: object = self.image.node.try_get_context(key)
        if digest is None:
            self.unpinned.add(mutable)
            return None
        self.pinned.add(mutable)
        return _checked(self.image, key, digest)


@dataclass(frozen=True)
class _Name:
    """A mutable reference that synthesis knows, and what the command needs to resolve it."""

    text: str
    about: Mapping[str, object]


def _checked(image: Construct, key: str, digest: object) -> str:
    text = digest if isinstance(digest, str) else repr(digest)
    try:
        Digest.parse(text)
    except ImageError as error:
        message = (
            f"{image.node.path}: context key {key!r}: {error.message}; correct it in cdk.context.json, or remove it "
            f"with: cdk context --reset '{key}'"
        )
        raise ValueError(message) from None
    return text


def _own_tag(image: Construct, repository: IPublicRepository, tag: str) -> _Name | None:
    if not is_known(repository.repository_name) or not is_known(tag):
        return None
    registry = repository.registry_id or Stack.of(image).account
    # Also name the stack's own account: the command may run with credentials of another one.
    known = {"registryId": registry} if is_known(registry) else {}
    text = f"{PUBLIC_HOST}/{registry if known else UNKNOWN_REGISTRY}/{repository.repository_name}:{tag}"
    return _Name(text, {"repositoryName": repository.repository_name, "tag": tag, **known})


def _reference(image: Construct, reference: str, others: Mapping[Any, object]) -> _Name | None:
    text = _text(image, reference)
    if text is None:
        return None
    secret = others.get("CredentialsSecretArn")
    about = {"reference": text, "hasCredentials": bool(secret)}
    return _Name(text, {**about, **({"credentialsSecretArn": secret} if is_known(secret) else {})})


def _text(image: Construct, name: str) -> str | None:
    """Return a reference as a string, if only values that are constant in the partition are unknown."""
    parts = _parts(image, name)
    return None if None in parts else "".join(filter(None, parts))


def _parts(image: Construct, name: str) -> list[str | None]:
    """Return the parts of a reference; None is a part that is not known at synthesis."""
    if is_known(name):
        return [name]
    match Stack.of(image).resolve(name):
        case {"Fn::Join": ["", [*parts]]}:
            known = [URL_SUFFIX if part == {"Ref": "AWS::URLSuffix"} else part for part in parts]
            return [part if isinstance(part, str) else None for part in known]
    return [None]

"""
Mutable names that a reviewed file pins to a digest.

The CDK keeps what was looked up in ``cdk.context.json``: there
``cdk-ecrpublic pin`` writes what a name stood for, and here it is read. What
is pinned is rendered as its digest, so that ``cdk diff`` shows it move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aws_cdk import Annotations, Stack
from constructs import Construct

from .._assets.lambda_handler.errors import ImageError
from .._assets.lambda_handler.oci import Digest
from ._pin_names import KEY, METADATA
from ._sources.base import SourceBinding
from ._validation.values import is_known, refuse
from .public_repository import IPublicRepository

URL_SUFFIX = "amazonaws.com"
"""Of hosts in the only partition that has ECR Public."""

PUBLIC_HOST, UNKNOWN_REGISTRY = "public.ecr.aws", "-"
"""What the name of a repository's own tag begins with: the host, and the registry where it is not known."""


@dataclass
class Pinning:
    """
    The mutable names of one source, looked up in the context.

    Attributes:
        pinned: Names whose digests the context has.
        unpinned: Names that the command can pin, and has not.
    """

    image: Construct
    repository: IPublicRepository
    pinned: set[str] = field(default_factory=set)
    unpinned: set[str] = field(default_factory=set)

    def apply(self, binding: SourceBinding) -> SourceBinding:
        """
        Replace the mutable names of a source by their digests, as far as the context has them.

        Raises:
            ValueError: The context has something else than a digest for one.
        """
        properties = self._replaced(binding.properties, frozenset(binding.mutable_tags))
        left = tuple(name for name in binding.mutable_tags if name not in self.pinned)
        return replace(binding, properties=properties, mutable_tags=left)

    def warn_of(self, names: Sequence[str]) -> None:
        """Say what is wrong with mutable *names*, if there are any, and what can be done about it."""
        if not names:
            return
        ways = ["name the image by digest"]
        if self.unpinned:
            ways.append("have `cdk-ecrpublic pin` keep its digest in cdk.context.json")
        others = [_shown(self.image, name) for name in names if name not in self.unpinned]
        cannot = f"; `cdk-ecrpublic pin` cannot pin {', '.join(others)}: it pins tags that synthesis knows"
        Annotations.of(self.image).add_warning_v2(
            "@cdk-ecrpublic:mutableTag",
            f"the source may become another image, {', '.join(_shown(self.image, name) for name in names)}: "
            "cdk diff cannot see it change, and CloudFormation does not deploy again when it does; "
            f"{', '.join([*ways, ''])}or change refresh= to have it read again{cannot if others else ''}",
        )

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
                    # The tag beside the digest tells people what it was.
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
    """A mutable name that synthesis knows, and what the command needs to resolve it."""

    text: str
    about: Mapping[str, object]


def _checked(image: Construct, key: str, digest: object) -> str:
    text = digest if isinstance(digest, str) else repr(digest)
    try:
        Digest.parse(text)
    except ImageError as error:
        refuse(
            image.node.path,
            f"the context {key!r}: {error.message}; correct it in cdk.context.json, or drop it with: "
            f"cdk context --reset '{key}'",
        )
    return text


def _own_tag(image: Construct, repository: IPublicRepository, tag: str) -> _Name | None:
    if not is_known(repository.repository_name) or not is_known(tag):
        return None
    registry = repository.registry_id or Stack.of(image).account
    # The stack's own account too: the command may run with the credentials of another one.
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
    """Return a name as a text, where it is known but for what is the same in the whole partition."""
    if is_known(name):
        return name
    match Stack.of(image).resolve(name):
        case {"Fn::Join": ["", [*parts]]}:
            known = [URL_SUFFIX if part == {"Ref": "AWS::URLSuffix"} else part for part in parts]
            return "".join(known) if all(isinstance(part, str) for part in known) else None
    return None


def _shown(image: Construct, name: str) -> str:
    """Return a mutable name for people; of one that only the deployment knows, what stands in the app."""
    tag = name.rpartition(":")[2]
    return _text(image, name) or (tag if is_known(tag) else "a tag that only the deployment knows")

"""
Mutable names that a reviewed file pins to a digest.

The CDK keeps what was looked up in ``cdk.context.json``: there
``cdk-ecrpublic pin`` writes what a name stood for, and here it is read. What
is pinned is rendered as its digest, so that ``cdk diff`` shows it move.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aws_cdk import Stack
from constructs import Construct

from ._assets.lambda_handler.oci import Digest
from ._checks import check, is_known
from ._pin_names import KEY, METADATA
from ._sources.base import SourceBinding
from .public_repository import IPublicRepository

URL_SUFFIX = "amazonaws.com"
"""Of hosts in the only partition that has ECR Public."""

PUBLIC_HOST, UNKNOWN_REGISTRY = "public.ecr.aws", "-"
"""What the name of a repository's own tag begins with: the host, and the registry where it is not known."""


def pinned(image: Construct, repository: IPublicRepository, binding: SourceBinding) -> SourceBinding:
    """
    Replace the mutable names of a source by their digests, as far as the context has them.

    Raises:
        ValueError: The context has something else than a digest for one.
    """
    found: set[str] = set()

    def replaced(source: Any) -> Any:  # noqa: ANN401 - the value of a Source property
        match source:
            case {"Index": {"Manifests": [*parts], **others}}:
                manifests = [{**part, "Source": replaced(part["Source"])} for part in parts]
                return {"Index": {"Manifests": manifests, **others}}
            case {"Tag": str(tag)} if tag in binding.mutable_tags:
                if digest := _digest_of_tag(image, repository, tag):
                    found.add(tag)
                    return {"Digest": digest}
            case {"Image": {"Reference": str(reference), **others}} if reference in binding.mutable_tags:
                if digest := _digest_of_reference(image, reference, others):
                    found.add(reference)
                    # The tag beside the digest tells people what it was.
                    return {"Image": {"Reference": f"{reference}@{digest}", **others}}
        return source

    properties = replaced(binding.properties)
    left = [name for name in binding.mutable_tags if name not in found]
    shown = tuple(_text(image, name) or name.rpartition(":")[2] for name in left)
    return replace(binding, properties=properties, mutable_tags=shown)


def _digest_of_tag(image: Construct, repository: IPublicRepository, tag: str) -> str | None:
    registry = repository.registry_id or Stack.of(image).account
    if not is_known(repository.repository_name):
        return None
    name = f"{PUBLIC_HOST}/{registry if is_known(registry) else UNKNOWN_REGISTRY}/{repository.repository_name}:{tag}"
    known = {"registryId": repository.registry_id} if is_known(repository.registry_id or "") else {}
    return _look_up(image, name, {"repositoryName": repository.repository_name, "tag": tag, **known})


def _digest_of_reference(image: Construct, reference: str, others: Mapping[Any, object]) -> str | None:
    text = _text(image, reference)
    if text is None:
        return None
    secret = others.get("CredentialsSecretArn")
    about = {"reference": text, "hasCredentials": bool(secret)}
    return _look_up(image, text, {**about, **({"credentialsSecretArn": secret} if is_known(secret) else {})})


def _text(image: Construct, name: str) -> str | None:
    """Return a name as a text, where it is known but for what is the same in the whole partition."""
    if is_known(name):
        return name
    match Stack.of(image).resolve(name):
        case {"Fn::Join": ["", [*parts]]}:
            known = [URL_SUFFIX if part == {"Ref": "AWS::URLSuffix"} else part for part in parts]
            return "".join(known) if all(isinstance(part, str) for part in known) else None
    return None


def _look_up(image: Construct, name: str, about: Mapping[str, object]) -> str | None:
    key = f"{KEY}{name}"
    image.node.add_metadata(METADATA, {"key": key, **{each: value for each, value in about.items() if value}})
    digest: object = image.node.try_get_context(key)
    if digest is None:
        return None
    if not isinstance(digest, str):
        digest = repr(digest)
    what = f"{image.node.path}: the context {key!r}"
    check(what, digest, Digest.parse)
    return digest

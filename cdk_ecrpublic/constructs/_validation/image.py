"""Checks of PublicImage at synthesis: options, tags, partition, and that no tag is declared twice."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import RemovalPolicy
from constructs import Construct

from ..._assets.lambda_handler.oci import Digest, Platform, is_account_id, parse_tag, parse_tag_pattern
from .._tree import account_of, partition_of, path_of, region_of, root_of, stack_of, stage_path_of
from ..on_tag_removed import OnTagRemoved
from ..public_repository import IPublicRepository
from .values import (
    check,
    check_flag,
    check_member,
    check_repository,
    check_source,
    check_text,
    check_texts,
    is_known,
    refuse,
)

_DECLARED_TAGS = "_cdk_ecrpublic_declared_tags"

_UNKNOWN_ACCOUNT = "the stack's account"


def check_kinds(path: str, repository: object, source: object) -> None:
    """
    Check that *repository* is a repository and *source* is a source.

    Raises:
        ValueError: One of them is not; the message says how to create one.
    """
    check_repository(f"{path}: repository", repository)
    check_source(f"{path}: source", source)


def check_tags(path: str, tags: Sequence[str]) -> None:
    """
    Check the tags of one image.

    Raises:
        ValueError: A tag is malformed or listed twice.
    """
    check_texts(f"{path}: tags", tags, "tags, e.g. ['1.4.2']", parse_tag)
    twice = sorted({tag for tag in tags if tags.count(tag) > 1})
    if twice:
        refuse(f"{path}: tags", f"listed twice: {', '.join(map(repr, twice))}")


def check_options(
    path: str,
    expected_digest: str | None,
    *,
    platforms: Sequence[str],
    required_platforms: Sequence[str],
    immutable_tags: Sequence[str],
    on_tag_removed: OnTagRemoved,
    removal_policy: RemovalPolicy,
    include_referrers: bool,
    refresh: str | None,
) -> None:
    """
    Check the options of one image.

    Raises:
        ValueError: A value has the wrong type or is malformed; reports the first problem.
    """
    if expected_digest is not None:
        check(f"{path}: expected_digest", expected_digest, Digest.parse)
    of = "platforms, e.g. ['linux/amd64']"
    check_texts(f"{path}: platforms", platforms, of, Platform.parse)
    check_texts(f"{path}: required_platforms", required_platforms, of, Platform.parse)
    check_texts(f"{path}: immutable_tags", immutable_tags, "tags or patterns, e.g. ['1.4.*']", parse_tag_pattern)
    check_member(f"{path}: on_tag_removed", on_tag_removed, tuple(OnTagRemoved))
    check_member(f"{path}: removal_policy", removal_policy, (RemovalPolicy.RETAIN, RemovalPolicy.DESTROY))
    check_flag(f"{path}: include_referrers", include_referrers)
    if refresh is not None:
        check_text(f"{path}: refresh", refresh, "any string, e.g. '2'")


def check_partition(scope: Construct) -> None:
    """
    Refuse a stack in a partition without ECR Public.

    Raises:
        ValueError: The partition is known and is not ``aws``.
    """
    partition = partition_of(scope)
    if partition not in {None, "aws"}:
        refuse(
            path_of(scope),
            f"Amazon ECR Public is not available in partition {partition!r} (this stack is in {region_of(scope)}); "
            "deploy it in a commercial Region",
        )


def reject_duplicate_tags(image: Construct, key: tuple[str, str, str], tags: Sequence[str]) -> None:
    """
    Refuse tags that another image already declares: the two would overwrite each other at every deployment.

    The check covers the whole app. If accounts are not known at synthesis, it
    covers one stage, because the stacks of two stages usually go to two accounts.

    Args:
        key: The key of the repository, see ``repository_key``.

    Raises:
        ValueError: Another image already declares one of the tags; the message names both.
    """
    if not is_known(tags):
        return
    # The app is a Python object of this process, so the table can be attached to it.
    root, path = root_of(image), path_of(image)
    declared: dict[tuple[str, ...], str] = getattr(root, _DECLARED_TAGS, {})
    setattr(root, _DECLARED_TAGS, declared)
    # One token can stand for two tags: a pseudo parameter such as the Region has a value for each stack.
    for tag in filter(is_known, tags):
        owner = declared.setdefault((*key, tag), path)
        if owner != path:
            twice = f"tag {tag!r} of repository {key[-1]!r} is already declared by {owner!r}"
            refuse(f"{path}: tags", f"{twice}; {_remedy(image, owner, is_account_known=key[1] != _UNKNOWN_ACCOUNT)}")


def _remedy(image: Construct, owner: str, *, is_account_known: bool) -> str:
    """Say what to do about a tag that is declared twice."""
    once = "declare each tag once, or the two overwrite each other at every deployment"
    if is_account_known or owner.startswith(f"{stack_of(image).node.path}/"):
        return once
    return (
        f"{once}; if the two stacks belong to different accounts, give each stack its account "
        "(env=Environment(account=…)), or put each into a Stage of its own"
    )


def repository_key(image: Construct, repository: IPublicRepository) -> tuple[str, str, str]:
    """Return what identifies a repository within the app: stage (if the account is unknown), registry and name."""
    registry = _account(image, repository)
    if is_known(registry):
        return "", registry, repository.identity
    return stage_path_of(image), _UNKNOWN_ACCOUNT, repository.identity


def _account(image: Construct, repository: IPublicRepository) -> str:
    """Return the account of a repository; an alias and its account are the same registry."""
    registry = repository.registry_id
    if registry is None:
        return account_of(image)
    if not is_known(registry) or is_account_id(registry):
        return registry
    arn = repository.repository_arn
    return arn.split(":")[4] if is_known(arn) else account_of(image)

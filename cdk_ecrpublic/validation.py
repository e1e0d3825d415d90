"""What PublicImage checks at synthesis: its tags, its partition, and that no tag is declared twice."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import RemovalPolicy, Stack, Stage
from aws_cdk.region_info import RegionInfo
from constructs import Construct

from ._assets.lambda_handler.oci import Digest, Platform, is_account_id, parse_tag, parse_tag_pattern
from ._checks import check, check_kind, is_known, refuse
from .public_repository import IPublicRepository

_CLAIMS = "_cdk_ecrpublic_claims"


def check_kinds(path: str, repository: object, source: object) -> None:
    """
    Refuse what is neither a repository nor a source; a text is tried most often.

    Raises:
        ValueError: Says how to make one.
    """
    public = "a repository of ECR Public: PublicRepository.from_repository_name(self, 'Repository', 'acme/agent')"
    if hasattr(repository, "repository_uri"):
        public += "; a private one may be the source: ImageSource.ecr"
    check_kind(f"{path}: repository", repository, "registry_id", public)
    check_kind(f"{path}: source", source, "bind", "a source: ImageSource.digest('sha256:…'), say")


def check_tags(path: str, tags: Sequence[str]) -> None:
    """
    Check the tags of one image.

    Raises:
        ValueError: A tag outside the grammar, or one named twice.
    """
    if isinstance(tags, str) or not isinstance(tags, Sequence):
        refuse(f"{path}: tags", f"{tags!r} is a {type(tags).__name__}; expected a list of tags, e.g. ['1.4.2']")
    if not is_known(tags):
        return
    for number, tag in enumerate(tags):
        check(f"{path}: tags[{number}]", tag, parse_tag)
    twice = sorted({tag for tag in tags if tags.count(tag) > 1})
    if twice:
        refuse(f"{path}: tags", f"named twice: {', '.join(map(repr, twice))}")


def check_platforms(what: str, platforms: Sequence[str]) -> None:
    """
    Check platforms.

    Raises:
        ValueError: One outside the grammar.
    """
    if isinstance(platforms, str):
        refuse(what, f"{platforms!r} is a string; expected a list of platforms, e.g. [{platforms!r}]")
    for number, platform in enumerate(platforms if is_known(platforms) else ()):
        check(f"{what}[{number}]", platform, Platform.parse)


def check_rules(
    path: str,
    expected_digest: str | None,
    *,
    platforms: Sequence[str],
    required_platforms: Sequence[str],
    immutable_tags: Sequence[str],
    removal_policy: RemovalPolicy,
) -> None:
    """
    Check the rules of one image.

    Raises:
        ValueError: A value outside its grammar; names the first.
    """
    if expected_digest is not None:
        check(f"{path}: expected_digest", expected_digest, Digest.parse)
    check_platforms(f"{path}: platforms", platforms)
    check_platforms(f"{path}: required_platforms", required_platforms)
    if isinstance(immutable_tags, str):
        refuse(f"{path}: immutable_tags", f"{immutable_tags!r} is a string; expected a list, e.g. [{immutable_tags!r}]")
    for number, pattern in enumerate(immutable_tags if is_known(immutable_tags) else ()):
        check(f"{path}: immutable_tags[{number}]", pattern, parse_tag_pattern)
    if removal_policy not in {RemovalPolicy.RETAIN, RemovalPolicy.DESTROY}:
        refuse(f"{path}: removal_policy", f"{removal_policy.name} means nothing for an image; allowed: RETAIN, DESTROY")


def check_partition(scope: Construct) -> None:
    """
    Refuse a stack where ECR Public does not exist.

    Raises:
        ValueError: The partition is known, and is not ``aws``.
    """
    region = Stack.of(scope).region
    # The stack's own `partition` is a token unless a feature flag of the app says otherwise.
    partition = RegionInfo.get(region).partition if is_known(region) else None
    if partition not in {None, "aws"}:
        refuse(
            scope.node.path,
            f"Amazon ECR Public does not exist in partition {partition!r} (this stack is in {region}); "
            "deploy it in a commercial Region",
        )


def claim_tags(image: Construct, key: tuple[str, str, str], tags: Sequence[str]) -> None:
    """
    Claim *tags* for *image*: two declarations of one tag would overwrite each other at every deployment.

    The check spans the whole app. Where accounts are not known at synthesis
    it spans one stage, since the stacks of two stages mostly go to two
    accounts.

    Args:
        key: Of the repository, as ``repository_key`` has it.

    Raises:
        ValueError: Another image declares one of them already; names both.
    """
    if not is_known(tags):
        return
    # The app is an object of the user's own process, so it can carry the table.
    node = image.node
    root, path = node.root, node.path
    claims: dict[tuple[str, ...], str] = getattr(root, _CLAIMS, {})
    setattr(root, _CLAIMS, claims)
    # One token can be two tags: a pseudo parameter such as the Region has a value for each stack.
    for tag in filter(is_known, tags):
        owner = claims.setdefault((*key, tag), path)
        if owner != path:
            refuse(
                f"{path}: tags",
                f"tag {tag!r} of repository {key[-1]!r} is declared by {owner!r} already; "
                "declare each tag once, or the two overwrite each other at every deployment",
            )


def repository_key(image: Construct, repository: IPublicRepository) -> tuple[str, str, str]:
    """Return what tells a repository from all others of the app: stage, registry, name, as far as they matter."""
    registry = _account(image, repository)
    if is_known(registry):
        return "", registry, repository.identity
    stage = Stage.of(image)
    return (stage.node.path if stage else ""), "the stack's account", repository.identity


def _account(image: Construct, repository: IPublicRepository) -> str:
    """Return the account that a repository is in; an alias and the account that it belongs to are one registry."""
    registry = repository.registry_id
    if registry is None:
        return Stack.of(image).account
    if not is_known(registry) or is_account_id(registry):
        return registry
    arn = repository.repository_arn
    return arn.split(":")[4] if is_known(arn) else Stack.of(image).account

"""The first page: all registries and their repositories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..store.state import Registry, Repository, default_alias
from ..world import World
from .addresses import repository_url
from .formats import Moment, moment, value_text
from .paging import Page, page_of

REPOSITORIES_PER_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryLine:
    """
    One repository in the list.

    Attributes:
        account: The account of its registry.
        pushed: The last push; None if there was none.
    """

    account: str
    alias: str
    name: str
    url: str
    description: str
    tags: int
    images: int
    pushed: Moment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """
    The first page.

    Attributes:
        alias: The alias for the commands that an empty sandbox shows.
        registries: The number of registries that have repositories.
        search: What the names must contain.
        is_empty: Whether the sandbox has no repository at all.
    """

    host: str
    url: str
    account: str
    alias: str
    registries: int
    repositories: Page[RepositoryLine]
    search: str
    is_empty: bool


def registries_of(world: World) -> Sequence[Registry]:
    """Return the registries that have repositories. Nothing is created for an account that has none."""
    store = world.store
    return [store.registry_of(account) for account in list(store.registries) if store.registries[account].repositories]


def overview(world: World, query: Mapping[str, str], now: float) -> Overview:
    """Describe all repositories."""
    registries = registries_of(world)
    search = query.get("search", "").strip()
    found = [
        (registry, repository)
        for registry in registries
        for repository in sorted(registry.repositories.values(), key=lambda each: each.name)
        if search.lower() in f"{registry.aliases[0]}/{repository.name}"
    ]
    page = page_of(found, REPOSITORIES_PER_PAGE, query, "page")
    return Overview(
        host=world.registry_host,
        url=world.url,
        account=world.account,
        alias=world.settings.alias or default_alias(world.account),
        registries=len(registries),
        repositories=page.map(lambda item: _line(*item, now)),
        search=search,
        is_empty=not registries,
    )


def _line(registry: Registry, repository: Repository, now: float) -> RepositoryLine:
    pushed = [image.pushed_at for image in repository.all_images()]
    tagged = [tag.created_at for _, tag in repository.all_tags()]
    alias = registry.aliases[0]
    return RepositoryLine(
        account=registry.account,
        alias=alias,
        name=repository.name,
        url=repository_url(alias, repository.name),
        description=value_text((repository.catalog_data or {}).get("description") or ""),
        tags=len(tagged),
        images=len(pushed),
        pushed=moment(max(pushed + tagged), now) if pushed else None,
    )

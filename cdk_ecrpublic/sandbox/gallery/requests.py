"""The page of the journal: the recorded requests, and the tags that they moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from cdk_ecrpublic._assets.lambda_handler.oci import Digest

from ..journal import Request
from ..operations import CHANGES
from ..store.state import Repository, TagMove
from ..world import World
from .addresses import image_url, repository_url, with_query
from .formats import Moment, moment, value_text
from .overview import registries_of
from .paging import Page, page_of

REQUESTS_PER_PAGE = 100
MOVES_SHOWN = 10
OPTIONS_MAX = 500
NAME_MAX_CHARACTERS = 256

SHOWN = (("", "All requests"), ("changes", "Changes"), ("moves", "Tag moves"))
"""What the page can show: the value of the parameter ``show``, and its name."""

FACES = {"api": "API", "http": "registry"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveLine:
    """
    A tag that moved.

    Attributes:
        before_url: The page of the image; empty if there is none, as for ``after_url``.
    """

    time: Moment
    operation: str
    repository: str
    repository_url: str
    tag: str
    before: str
    before_url: str
    after: str
    after_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLine:
    """
    One request.

    Attributes:
        status: ``200``, or ``dropped`` if the connection was dropped.
        moves: The tags that it moved, up to a limit.
        more_moves: How many more tags it moved.
    """

    time: Moment
    face: str
    operation: str
    repository: str
    repository_url: str
    reference: str
    status: str
    is_error: bool
    error: str
    moves: tuple[MoveLine, ...]
    more_moves: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """A choice of what to show."""

    name: str
    url: str
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalPage:
    """
    The page of the journal.

    Attributes:
        show: One of the values in ``SHOWN``.
        repository: The repository that the requests must be for; empty for all.
        repositories: The repositories to choose from.
        total: How many requests are recorded.
        requests: The requests; empty if ``show`` is ``moves``.
        moves: The tags that moved; empty otherwise.
    """

    tabs: tuple[Tab, ...]
    show: str
    repository: str
    repositories: tuple[str, ...]
    total: int
    requests: Page[RequestLine]
    moves: Page[MoveLine]


def journal_page(world: World, query: Mapping[str, str], now: float) -> JournalPage:
    """Describe the recorded requests, the latest first."""
    recorded = world.requests.all()[::-1]
    show = query.get("show", "") if query.get("show") in dict(SHOWN) else ""
    wanted = query.get("repository", "")
    found = [request for request in recorded if not wanted or request.repository == wanted]
    if show == "changes":
        found = [request for request in found if request.operation in CHANGES]
    moves = [(request, move) for request in found for move in reversed(request.moves)]
    lines = _Lines(_places(world), now)
    return JournalPage(
        tabs=tuple(
            Tab(name=name, url=with_query({"show": value, "repository": wanted}), is_chosen=value == show)
            for value, name in SHOWN
        ),
        show=show,
        repository=wanted,
        repositories=_options(recorded, wanted),
        total=len(recorded),
        requests=page_of([] if show == "moves" else found, REQUESTS_PER_PAGE, query, "page").map(lines.request),
        moves=page_of(moves if show == "moves" else [], REQUESTS_PER_PAGE, query, "page").map(
            lambda item: lines.move(*item)
        ),
    )


@dataclass(frozen=True, slots=True)
class _Lines:
    """
    Turns requests into lines.

    Attributes:
        places: For each name of a repository, its alias and the repository.
    """

    places: Mapping[str, tuple[str, Repository]]
    now: float

    def request(self, request: Request) -> RequestLine:
        return RequestLine(
            time=moment(request.time, self.now),
            face=FACES[request.face],
            operation=value_text(request.operation),
            repository=value_text(request.repository),
            repository_url=self._repository_url(request.repository),
            reference=value_text(request.reference),
            status=str(request.status) if request.status else "dropped",
            is_error=not 0 < request.status < HTTPStatus.BAD_REQUEST,
            error=value_text(request.error),
            moves=tuple(self.move(request, move) for move in request.moves[:MOVES_SHOWN]),
            more_moves=max(len(request.moves) - MOVES_SHOWN, 0),
        )

    def move(self, request: Request, move: TagMove) -> MoveLine:
        return MoveLine(
            time=moment(request.time, self.now),
            operation=value_text(request.operation),
            repository=value_text(request.repository),
            repository_url=self._repository_url(request.repository),
            tag=move.tag,
            before=move.before,
            before_url=self._image_url(request.repository, move.before),
            after=move.after,
            after_url=self._image_url(request.repository, move.after),
        )

    def _repository_url(self, name: str) -> str:
        place = self.places.get(name)
        return repository_url(place[0], name) if place else ""

    def _image_url(self, name: str, digest: str) -> str:
        place = self.places.get(name)
        return image_url(place[0], name, digest) if place and place[1].image(Digest(digest)) else ""


def _places(world: World) -> dict[str, tuple[str, Repository]]:
    """Find each repository by its name. The journal does not record the registry, so the first one counts."""
    places: dict[str, tuple[str, Repository]] = {}
    for registry in registries_of(world):
        for name, repository in registry.repositories.items():
            places.setdefault(name, (registry.aliases[0], repository))
    return places


def _options(recorded: Sequence[Request], wanted: str) -> tuple[str, ...]:
    names = {request.repository for request in recorded} | {wanted}
    return tuple(sorted(name for name in names if name and len(name) <= NAME_MAX_CHARACTERS)[:OPTIONS_MAX])

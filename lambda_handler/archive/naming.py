"""Which image of an archive a reference means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from ..errors import InvalidArchiveError, shown
from ..oci import Digest

_LISTED_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """
    An image of an archive.

    Attributes:
        names: As the archive has them: ``docker.io/library/agent:1.4``, ``1.4``, or none.
        digest: What tells it from others.
    """

    digest: Digest
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{' = '.join(self.names)} ({self.digest})" if self.names else str(self.digest)


def choose(images: Sequence[Named], reference: str, archive: str) -> Named:
    """
    Find the image that *reference* stands for.

    Args:
        images: Each once; see ``merged``.
        reference: A name or a digest, exactly as the archive has it, or the
            end of one name: ``agent:1.4`` or ``1.4`` of
            ``docker.io/library/agent:1.4``. Empty for the only image.
        archive: What people call it, for messages.

    Raises:
        InvalidArchiveError: There is none, or more than one; lists what there is.
    """
    if not reference:
        found = list(images)
    else:
        exact = [image for image in images if reference in {*image.names, str(image.digest)}]
        found = exact or [image for image in images if any(_is_end(reference, name) for name in image.names)]
    if len(found) != 1:
        _refuse(images, reference, archive, found=len(found))
    return found[0]


def merged(images: Sequence[Named]) -> list[Named]:
    """Let entries of the same digest be one image, with the names of all."""
    names: dict[Digest, list[str]] = {}
    for image in images:
        names.setdefault(image.digest, []).extend(image.names)
    return [Named(digest=digest, names=tuple(dict.fromkeys(known))) for digest, known in names.items()]


def _is_end(reference: str, name: str) -> bool:
    return name.endswith((f"/{reference}", f":{reference}"))


def _refuse(images: Sequence[Named], reference: str, archive: str, *, found: int) -> NoReturn:
    listed = ", ".join(map(str, images[:_LISTED_MAX])) or "none"
    more = f" and {len(images) - _LISTED_MAX} more" if len(images) > _LISTED_MAX else ""
    if not reference:
        what = f"holds {len(images)} images, and no reference says which is meant"
    elif found:
        what = f"holds {found} images that are named {shown(reference)}"
    else:
        what = f"holds no image that is named {shown(reference)}"
    message = f"{archive} {what}; its images are: {listed}{more}"
    raise InvalidArchiveError(message)

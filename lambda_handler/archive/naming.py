"""Select the image of an archive that a reference names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from ..errors import InvalidArchiveError, truncated_repr
from ..oci import Digest

_LISTED_MAX = 10

NamedImages = Mapping[Digest, Sequence[str]]
"""The names of each image as the archive has them: ``docker.io/library/agent:1.4``, ``1.4``, or none."""


def named_images(entries: Iterable[tuple[Digest, Iterable[str]]]) -> NamedImages:
    """Merge the entries of each digest into one image that has all their names."""
    names: dict[Digest, dict[str, None]] = {}
    for digest, known in entries:
        names.setdefault(digest, {}).update(dict.fromkeys(known))
    return {digest: tuple(known) for digest, known in names.items()}


def select_image(images: NamedImages, reference: str, archive: str) -> Digest:
    """
    Find the image that *reference* names.

    Args:
        images: All images of the archive.
        reference: A name or digest exactly as the archive has it, or the end
            of a name: ``agent:1.4`` or ``1.4`` for
            ``docker.io/library/agent:1.4``. Empty selects the only image.
        archive: The name of the archive, for messages.

    Raises:
        InvalidArchiveError: No image matches, or several do; the message lists the images.
    """
    if not reference:
        found = list(images)
    else:
        exact = [digest for digest, names in images.items() if reference in {*names, str(digest)}]
        ends = (f"/{reference}", f":{reference}")
        found = exact or [digest for digest, names in images.items() if any(name.endswith(ends) for name in names)]
    if len(found) != 1:
        _refuse(images, reference, archive, found=len(found))
    return found[0]


def _refuse(images: NamedImages, reference: str, archive: str, *, found: int) -> NoReturn:
    described = [f"{' = '.join(names)} ({digest})" if names else str(digest) for digest, names in images.items()]
    listed = ", ".join(described[:_LISTED_MAX]) or "none"
    more = f" and {len(images) - _LISTED_MAX} more" if len(images) > _LISTED_MAX else ""
    if not reference:
        what = f"contains {len(images)} images, and no reference selects one of them"
    elif found:
        what = f"contains {found} images named {truncated_repr(reference)}"
    else:
        what = f"contains no image named {truncated_repr(reference)}"
    message = f"{archive} {what}; its images are: {listed}{more}"
    raise InvalidArchiveError(message)

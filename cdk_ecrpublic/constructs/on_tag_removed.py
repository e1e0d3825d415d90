"""What becomes of a tag that is no longer declared."""

from __future__ import annotations

from enum import Enum


class OnTagRemoved(Enum):
    """What becomes of a tag that is taken out of a ``PublicImage``."""

    KEEP = "Keep"
    """It stays in the registry."""

    UNTAG = "Untag"
    """
    It is removed, while it points to what the image put there.

    The last tag of an image stays, since the service would delete the image
    with it, and so does a tag that another ``PublicImage`` of the app has.
    """

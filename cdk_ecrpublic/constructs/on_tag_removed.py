"""What happens to a tag that is no longer declared."""

from __future__ import annotations

from enum import Enum


class OnTagRemoved(Enum):
    """What happens to a tag that is taken out of a ``PublicImage``."""

    KEEP = "Keep"
    """The tag stays in the registry."""

    UNTAG = "Untag"
    """
    The tag is removed if it still points to the image that was put there.

    The last tag of an image stays, because the service would delete the image
    with it. A tag that another resource declares stays, too.
    """

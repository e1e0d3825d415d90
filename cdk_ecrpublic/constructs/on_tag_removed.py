"""What happens to a tag that is no longer declared."""

from __future__ import annotations

from enum import Enum


class OnTagRemoved(Enum):
    """
    What happens to a tag that is taken out of a ``PublicImage``.

    ```python
    PublicImage(
        self, "Nightly",
        repository=repository,
        source=ImageSource.digest("sha256:9f2c…"),
        tags=["nightly"],
        on_tag_removed=OnTagRemoved.UNTAG,
    )
    ```
    """

    KEEP = "Keep"
    """The tag stays in the registry."""

    UNTAG = "Untag"
    """
    The tag is removed if it still points to the image that was deployed.

    The last tag of an image stays, because the service would delete the image
    with it. So does a tag that another resource declares for this image, if that
    resource has a record: in an app that removes something from the repository,
    every resource has one.
    """

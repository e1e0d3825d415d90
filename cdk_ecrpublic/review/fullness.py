"""How full a repository is: ECR Public limits the number of images, and does not say how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from .._assets.lambda_handler.aws.errcode import translated
from .._assets.lambda_handler.errors import ImageError
from .._assets.lambda_handler.publish.limits import REPOSITORY_IMAGES_MAX
from .._assets.lambda_handler.publish.ports import PublicRepository
from .._assets.lambda_handler.registry.logins import ECR_PUBLIC_REGION
from .effect import Writes
from .live.registry import Registry

NEARLY_FULL = 0.95
"""Above this part of the limit, there is a warning."""

PAGE_IMAGES = 1000
"""How many images one request counts at most."""

OPERATION = "ecr-public:DescribeImages"


def warn_of_fullness(repository: PublicRepository, writes: Writes, registry: Registry) -> Iterator[str]:
    """
    Yield a warning if a repository is nearly full after *writes*.

    Only a repository that gets new images is counted, once for each review,
    and only with credentials: one request for each 1,000 images.
    """
    added = len(writes.manifests) + len(writes.referrers)
    if not added:
        return
    there = registry.count_once(str(repository.repository), lambda: _count(repository, registry))
    if there is not None and there + added > NEARLY_FULL * REPOSITORY_IMAGES_MAX:
        yield (
            f"the repository has {there:,} images, counted with {OPERATION}, and gets {added:,} more; ECR Public "
            f"allows {REPOSITORY_IMAGES_MAX:,} unless your quota is higher: remove images that are not needed, or "
            "request a higher quota"
        )


def _count(repository: PublicRepository, registry: Registry) -> int | None:
    """Return the number of images; None if it cannot be seen."""
    clients = registry.clients
    if not repository.is_own or not clients.has_credentials or registry.is_elsewhere(repository.registry_id):
        return None
    client = clients.get("ecr-public", ECR_PUBLIC_REGION)
    request = {"registryId": repository.registry_id, "repositoryName": repository.name, "maxResults": PAGE_IMAGES}

    def page() -> tuple[int, str]:
        with translated(OPERATION):
            answer = client.describe_images(**request)
            return len(answer["imageDetails"]), str(answer.get("nextToken", ""))

    count = 0
    # A warning is not worth a failure. A repository that does not exist yet is empty.
    with suppress(ImageError):
        while count <= REPOSITORY_IMAGES_MAX:
            found, token = registry.prompt.call("counting images", page)
            count += found
            if not token:
                return count
            request["nextToken"] = token
        return count
    return None

"""The scans of images in private ECR."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import AccessError, RejectedError, ScanNotFoundError, UnavailableError
from ..oci import Digest, PrivateEcr
from ..publish.findings import NOT_SCANNED, Scan, read_scan
from ..retry import Retry
from .errcode import translated

_OPERATION = "ecr:DescribeImageScanFindings"

PAGES_MAX = 100
"""With a hundred findings each. A page of a thousand of Amazon Inspector can take 20 MiB."""

POLL_SECONDS = 5.0

NEW_SECONDS = 90.0
"""How long an image that was just pushed may have no scan. Amazon Inspector takes about a minute."""


@dataclass(slots=True, eq=False, repr=False)
class ImageScans:
    """
    Reads each scan once.

    Attributes:
        client: Creates the client for a Region.
        until: Until when to wait for scans that are under way, on the clock of the deadline.
    """

    client: Callable[[str], Any]
    retry: Retry
    until: float = 0.0
    _known: dict[tuple[PrivateEcr, str, Digest], Scan] = field(default_factory=dict, init=False, repr=False)

    def scan(self, registry: PrivateEcr, name: str, image: Digest) -> Scan:
        """Return the scan of an image when it is over."""
        key = registry, name, image
        if key not in self._known:
            self._known[key] = self._awaited(registry, name, image)
        return self._known[key]

    def _awaited(self, registry: PrivateEcr, name: str, image: Digest) -> Scan:
        clock, start = self.retry.deadline.clock, self.retry.deadline.clock.now()
        scan = self._read(registry, name, image)
        if scan.is_under_way:
            self.retry.log.info(f"the scan of {name}@{image} is {scan.status}; waiting for it")
        while clock.now() + POLL_SECONDS <= self.until and (
            scan.is_under_way or (scan.status == NOT_SCANNED and clock.now() - start < NEW_SECONDS)
        ):
            clock.sleep(POLL_SECONDS)
            scan = self._read(registry, name, image)
        if scan.is_under_way:
            message = f"the scan of {name}@{image} is not over: its status is {scan.status}"
            hint = "deploy when it is over; a deployment waits for it"
            raise UnavailableError(message, operation=_OPERATION, hint=hint)
        return scan

    def _read(self, registry: PrivateEcr, name: str, image: Digest) -> Scan:
        parameters = {
            "registryId": registry.account,
            "repositoryName": name,
            "imageId": {"imageDigest": str(image)},
            "maxResults": 100,
        }
        try:
            with translated(_OPERATION):
                return read_scan(self._pages(self.client(registry.region), parameters))
        except ScanNotFoundError:
            return Scan(NOT_SCANNED)
        except AccessError as error:
            hint = f"{error.hint}; for findings of Amazon Inspector, set inspector=True in ReleaseRule.scan_findings"
            raise AccessError(error.message, operation=_OPERATION, hint=hint) from error

    def _pages(self, client: Any, parameters: dict[str, Any]) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401 - created at run time
        def call() -> Mapping[str, Any]:
            with translated(_OPERATION):
                page: Mapping[str, Any] = client.describe_image_scan_findings(**parameters)
                return page

        for _ in range(PAGES_MAX):
            page = self.retry.call("reading scan findings", call, retry_access_denied=True)
            yield page
            if not page.get("nextToken"):
                return
            parameters["nextToken"] = page["nextToken"]
        message = f"the scan of {parameters['imageId']['imageDigest']} has more than {PAGES_MAX} pages of findings"
        raise RejectedError(message, operation=_OPERATION)

"""
DescribeImageScanFindings and StartImageScan of private ECR, which ministack does not have.

Findings are those that a test or a person has set. Without any, an image has a scan
without findings if its repository scans on push, or after StartImageScan.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import ecr

from ..scans import NOT_FOUND, ImageScan, ScanFinding, Scans

PAGE_SIZE = 100
"""The default of DescribeImageScanFindings."""

PAGE_MAX = 1000

_Answer = tuple[int, dict[str, str], bytes]

_STARTED = "_scanStartedAt"
"""The key in ministack's record of an image with the time of StartImageScan."""


def add_image_scans(scans: Scans) -> None:
    """Add the two operations to ministack."""
    handle = ecr.handle_request
    operations = {"DescribeImageScanFindings": _describe, "StartImageScan": _start}

    async def handled(method: str, path: str, headers: dict[str, str], body: bytes, query: object) -> Any:  # noqa: ANN401 - ministack's, untyped
        operation = operations.get(headers.get("x-amz-target", "").rpartition(".")[2])
        if operation is None:
            return await handle(method, path, headers, body, query)
        data = json.loads(body)
        status, answer_headers, answer = ecr._describe_images({**data, "imageIds": [data["imageId"]]})  # noqa: SLF001
        if status != HTTPStatus.OK:
            return status, answer_headers, answer
        return operation(data, json.loads(answer)["imageDetails"][0]["imageDigest"], scans)

    ecr.handle_request = handled


def _describe(data: Mapping[str, Any], digest: str, scans: Scans) -> _Answer:
    start = int(data.get("nextToken") or 0)
    scan, status = scans.take(data["repositoryName"], digest, is_next=bool(start)) or _unset(data, digest)
    if status == NOT_FOUND:
        image = f"imageDigest:'{digest}'"
        message = f"Image scan does not exist for the image with '{{{image}}}' in the repository '{_names(data)}'"
        refusal: _Answer = error_response_json("ScanNotFoundException", message, HTTPStatus.BAD_REQUEST)
        return refusal
    response = {**_identity(data, digest), "imageScanStatus": {"status": status, "description": _description(status)}}
    if status == "ACTIVE" and scan.status != status:
        # Seen: a continuous scan without a first result.
        response["imageScanFindings"] = {"findings": []}
    elif status in {"ACTIVE", "COMPLETE"}:
        end = start + min(int(data.get("maxResults") or PAGE_SIZE), PAGE_MAX)
        response["imageScanFindings"] = _findings(scan, scan.findings[start:end], _completed(scan, data, digest))
        if end < len(scan.findings):
            response["nextToken"] = str(end)
    answer: _Answer = json_response(response)
    return answer


def _start(data: Mapping[str, Any], digest: str, _scans: Scans) -> _Answer:
    image = ecr._find_image(data["repositoryName"], {"imageDigest": digest})  # noqa: SLF001
    if "manifests" in json.loads(image.get("imageManifest") or "{}"):
        kind = image.get("imageManifestMediaType")
        message = f"An artifact with media type '{kind}' cannot be scanned. For more information, see the Amazon ECR"
        refusal: _Answer = error_response_json("UnsupportedImageTypeException", f"{message} documentation.", 400)
        return refusal
    image[_STARTED] = time.time()
    answer: _Answer = json_response({**_identity(data, digest), "imageScanStatus": {"status": "IN_PROGRESS"}})
    return answer


def _unset(data: Mapping[str, Any], digest: str) -> tuple[ImageScan, str]:
    """Return the scan of an image for which none was set."""
    name = data["repositoryName"]
    image = ecr._find_image(name, {"imageDigest": digest})  # noqa: SLF001
    configured = ecr._repositories[name].get("imageScanningConfiguration") or {}  # noqa: SLF001
    is_index = "manifests" in json.loads(image.get("imageManifest") or "{}")
    scans_on_push = str(configured.get("scanOnPush", False)).lower() == "true"
    is_scanned = not is_index and (_STARTED in image or scans_on_push)
    status = "COMPLETE" if is_scanned else NOT_FOUND
    return ImageScan(repository=name, digest=digest, status=status), status


def _completed(scan: ImageScan, data: Mapping[str, Any], digest: str) -> float:
    image = ecr._find_image(data["repositoryName"], {"imageDigest": digest}) or {}  # noqa: SLF001
    return float(image.get(_STARTED) or time.time() - scan.age_seconds)


def _identity(data: Mapping[str, Any], digest: str) -> dict[str, Any]:
    names = {"registryId": ecr._registry_id(), "repositoryName": data["repositoryName"]}  # noqa: SLF001
    return {**names, "imageId": {**data["imageId"], "imageDigest": digest}}


def _names(data: Mapping[str, Any]) -> str:
    return str(data["repositoryName"])


def _description(status: str) -> str:
    return {
        "ACTIVE": "Continuous scan is selected for image.",
        "COMPLETE": "The scan was completed successfully.",
    }.get(status, f"The status is {status}.")


def _findings(scan: ImageScan, page: Sequence[ScanFinding], completed: float) -> dict[str, Any]:
    counted = Counter(each.severity for each in scan.findings if each.status == "ACTIVE")
    listed = {"enhancedFindings" if scan.enhanced else "findings": [_finding(each, scan) for each in page]}
    times = {"imageScanCompletedAt": completed, "vulnerabilitySourceUpdatedAt": completed}
    return {**times, "findingSeverityCounts": dict(counted), **listed}


def _finding(finding: ScanFinding, scan: ImageScan) -> dict[str, Any]:
    if not scan.enhanced:
        attributes = {"package_name": finding.package, "package_version": finding.version}
        return {
            "name": finding.name,
            "severity": finding.severity,
            "attributes": [{"key": key, "value": value} for key, value in attributes.items()],
        }
    package = {"name": finding.package, "version": finding.version, "fixedInVersion": finding.fixed_in}
    return {
        "title": f"{finding.name} - {finding.package}",
        "type": "PACKAGE_VULNERABILITY",
        "severity": finding.severity,
        "status": finding.status,
        "fixAvailable": finding.fix_available or ("YES" if finding.fixed_in else "NO"),
        "packageVulnerabilityDetails": {
            "vulnerabilityId": finding.name,
            "vulnerablePackages": [{key: value for key, value in package.items() if value}],
        },
    }

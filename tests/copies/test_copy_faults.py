"""Faults during a copy: it continues if that helps, and otherwise writes no tag."""

from __future__ import annotations

import functools

import pytest

from cdk_ecrpublic.sandbox import Fault
from cdk_ecrpublic.sandbox.images import Image
from lambda_handler.errors import (
    AccessError,
    DeadlineError,
    IntegrityError,
    NotFoundError,
    ThrottledError,
    UnavailableError,
    UploadLostError,
)
from lambda_handler.oci import Digest
from lambda_handler.registry import uploads

from .conftest import Publisher
from .test_copies import OCI, artifact, blobs

LAYER = b"0123456789abcdef" * 400_000
"""6.4 MB: two parts of an upload, and several reads of a download."""

LAYER_DIGEST = str(Digest.of(LAYER))

IMAGE = Image(manifest=artifact(b"{}", LAYER), media_type=OCI, blobs=blobs(b"{}", LAYER))


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send all blobs with PATCH, as after one that was refused."""
    monkeypatch.setattr(uploads, "Uploads", functools.partial(uploads.Uploads, one_put_max=0))


@pytest.fixture
def pushed(publisher: Publisher) -> Publisher:
    publisher.push(IMAGE, "v1")
    publisher.sandbox.requests.clear()
    return publisher


@pytest.mark.parametrize(
    "fault",
    [
        Fault(operation="DownloadBlob", reference=LAYER_DIGEST, truncate_bytes=2_000_000, times=1),
        Fault(operation="DownloadBlob", reference=LAYER_DIGEST, truncate_bytes=2_000_000, times=3),
        Fault(operation="DownloadBlob", drop="before", times=2),
        Fault(operation="DownloadBlob", status=503, times=2),
        Fault(operation="GetBlob", status=429, times=2),
        Fault(operation="GetManifest", status=503, times=2),
        Fault(operation="StartUpload", status=429, times=2),
        Fault(operation="UploadChunk", status=503, times=2),
        Fault(operation="UploadChunk", drop="before", times=1),
        Fault(operation="UploadChunk", drop="after", times=1),
        Fault(operation="UploadChunk", code="BLOB_UPLOAD_UNKNOWN", times=1),
        Fault(operation="CompleteUpload", drop="after", times=1),
        Fault(operation="CompleteUpload", status=503, times=2),
        Fault(operation="CompleteUpload", code="BLOB_UPLOAD_UNKNOWN", times=1),
        Fault(operation="BatchCheckLayerAvailability", code="ThrottlingException", times=1),
        Fault(operation="DescribeImages", code="ServerException", times=1),
        Fault(operation="PutImage", code="LayersNotFoundException", times=2),
        Fault(operation="PutImage", drop="after", times=1),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", ["small", "large"])
def test_a_transient_fault_costs_only_time(
    pushed: Publisher, fault: Fault, size: str, request: pytest.FixtureRequest
) -> None:
    if size == "large" or fault.operation == "UploadChunk":
        request.getfixturevalue("large")
    pushed.sandbox.faults.add(fault)

    pushed.copy("v1", "1")

    assert pushed.clock.slept, "the fault was not triggered"
    assert pushed.pull("1") == IMAGE


def test_resumes_a_broken_download(pushed: Publisher) -> None:
    pushed.sandbox.faults.add(
        Fault(operation="DownloadBlob", reference=LAYER_DIGEST, truncate_bytes=3_000_000, times=1)
    )

    pushed.copy("v1", "1")

    assert pushed.sandbox.requests.count("StartUpload") == len(IMAGE.blobs)
    assert pushed.sandbox.requests.count("GetBlob") == len(IMAGE.blobs) + 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(operation="DownloadBlob", truncate_bytes=0, times=None), UnavailableError),
        (Fault(operation="DownloadBlob", status=403, times=None), UnavailableError),
        (Fault(operation="UploadChunk", code="BLOB_UPLOAD_UNKNOWN", times=None), UploadLostError),
        (Fault(operation="StartUpload", code="DENIED", times=None), AccessError),
        (Fault(operation="UploadChunk", code="DENIED", times=None), AccessError),
        (Fault(operation="DownloadBlob", status=200, body="other bytes", times=None), IntegrityError),
    ],
    ids=str,
)
@pytest.mark.usefixtures("large")
def test_a_permanent_fault_moves_no_tag(pushed: Publisher, fault: Fault, error: type[Exception]) -> None:
    pushed.sandbox.faults.add(fault)

    with pytest.raises(error):
        pushed.copy("v1", "1")

    assert pushed.is_empty()


@pytest.mark.usefixtures("large")
def test_when_one_blob_fails_the_other_transfers_stop(pushed: Publisher) -> None:
    config = str(Digest.of(b"{}"))
    pushed.sandbox.faults.add(
        Fault(operation="DownloadBlob", reference=LAYER_DIGEST, drip_seconds=0.1, times=None),
        Fault(operation="DownloadBlob", reference=config, status=404, times=None),
    )

    with pytest.raises(NotFoundError):
        pushed.copy("v1", "1")

    assert pushed.sandbox.requests.count("CompleteUpload") == 0


def test_a_deployment_after_a_failed_one_reuses_what_it_copied(pushed: Publisher) -> None:
    pushed.sandbox.faults.add(Fault(operation="PutImage", code="AccessDeniedException", times=None))
    with pytest.raises(AccessError, match="ecr-public:PutImage"):
        pushed.copy("v1", "1")
    pushed.sandbox.faults.clear()
    pushed.sandbox.requests.clear()

    pushed.copy("v1", "1")

    assert pushed.pull("1") == IMAGE
    assert pushed.sandbox.requests.count("StartUpload") == 0


@pytest.mark.usefixtures("large")
def test_a_timeout_reports_what_was_done(publisher: Publisher) -> None:
    """One blob, because several threads would move the clock further than the time that each of them waits."""
    publisher.push(Image(manifest=artifact(LAYER, LAYER), media_type=OCI, blobs=blobs(LAYER)), "v1")
    publisher.seconds = 20
    publisher.sandbox.faults.add(Fault(operation="UploadChunk", status=429, times=None))

    with pytest.raises((DeadlineError, ThrottledError), match=r"returned 429"):
        publisher.copy("v1", "1")

    assert publisher.is_empty()
    assert publisher.clock.time <= 20


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(operation="CompleteUpload", code="BLOB_UPLOAD_UNKNOWN", times=None), UploadLostError),
        (Fault(operation="CompleteUpload", code="DENIED", times=None), AccessError),
        (Fault(operation="DownloadBlob", status=200, body="other bytes", times=None), IntegrityError),
    ],
    ids=str,
)
def test_a_permanent_fault_of_a_small_blob_moves_no_tag(
    pushed: Publisher, fault: Fault, error: type[Exception]
) -> None:
    pushed.sandbox.faults.add(fault)

    with pytest.raises(error):
        pushed.copy("v1", "1")

    assert pushed.is_empty()


def test_after_a_throttled_commit_sends_the_bytes_separately(pushed: Publisher) -> None:
    """Otherwise a busy registry would make us send them again and again."""
    pushed.sandbox.faults.add(Fault(operation="CompleteUpload", status=429, times=6))

    pushed.copy("v1", "1")

    assert pushed.pull("1") == IMAGE
    assert pushed.sandbox.requests.count("UploadChunk") == len(IMAGE.blobs)

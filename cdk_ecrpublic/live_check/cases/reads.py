"""How soon a write can be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cdk_ecrpublic.live_check.case import case
from cdk_ecrpublic.live_check.images import image
from cdk_ecrpublic.live_check.target import ACCEPT, Target

ROUNDS = 20
POLLS_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
OK = 200

_WAITS = (
    "ecr_public.repository.EcrPublicRepository.manifest",
    "ecr_public.repository.EcrPublicRepository.resolve",
    "retry.CONSISTENCY_TIMEOUT_SECONDS",
)


@dataclass(frozen=True, slots=True)
class _Reader:
    """A way to read where a tag points, or that a digest exists. Nothing is recorded: the number of reads varies."""

    target: Target
    repository: str

    def by_tag_api(self, tag: str, digest: str) -> bool:
        ids = {"repositoryName": self.repository, "imageIds": [{"imageTag": tag}]}
        session = self.target.session
        found = session.patiently(lambda: session.transport.api("DescribeImages", ids))
        return not found.code and found.data["imageDetails"][0]["imageDigest"] == digest

    def by_tag_http(self, tag: str, digest: str) -> bool:
        found = self.target.send("HEAD", f"manifests/{tag}", headers={"Accept": ACCEPT})
        return found.headers.get("docker-content-digest") == digest

    def by_digest_http(self, _tag: str, digest: str) -> bool:
        return self.target.send("GET", f"manifests/{digest}", headers={"Accept": ACCEPT}).status == OK


@case(
    fidelity=("`read_lag_tag_seconds`", "`read_lag_digest_seconds`", "`read_lag_describe_seconds`"),
    settings=("read_lag_tag_seconds", "read_lag_digest_seconds", "read_lag_describe_seconds"),
    handler=_WAITS,
)
def read_after_write(target: Target) -> None:
    """How soon do the API and the registry show a tag that was moved, and an image that is new?"""
    reader = _Reader(target, target.repository())
    reads = {
        "the tag, with DescribeImages": reader.by_tag_api,
        "the tag, over HTTP": reader.by_tag_http,
        "the digest, over HTTP": reader.by_digest_http,
    }
    lags: dict[str, list[float]] = {name: [] for name in reads}
    for number in range(ROUNDS):
        new = image(f"round {number}")
        target.put(new, "a")
        begin = target.session.now()
        for name, read in reads.items():
            lags[name].append(_lag(target, begin, partial(read, "a", new.digest)))
    for name, found in lags.items():
        target.observe(f"{name}: fresh at once", _share(found))
        target.measure(f"{name}: seconds until fresh", [round(lag, 2) for lag in found])


@case(fidelity=("`read_lag_digest_seconds`",), handler=_WAITS)
def read_before_write(target: Target) -> None:
    """Does a read before an image exists delay the time from which on it can be read?"""
    reader = _Reader(target, target.repository())
    lags = []
    for number in range(3):
        new = image(f"awaited {number}")
        reader.by_digest_http("", new.digest)
        target.put(new)
        begin = target.session.now()
        lags.append(_lag(target, begin, partial(reader.by_digest_http, "", new.digest)))
    target.observe("the digest after a 404: fresh at once", _share(lags))
    target.measure("the digest after a 404: seconds until fresh", [round(lag, 2) for lag in lags])


def _lag(target: Target, begin: float, is_fresh: Callable[[], bool]) -> float:
    """Return 0 if the first read is fresh, otherwise the seconds since the write; -1 if it stays stale."""
    if is_fresh():
        return 0.0
    for pause in POLLS_SECONDS:
        target.wait(pause)
        if is_fresh():
            return target.session.now() - begin
    return -1.0


def _share(lags: list[float]) -> str:
    fresh = sum(lag == 0.0 for lag in lags)
    return {0: "never", len(lags): "always"}.get(fresh, "sometimes")

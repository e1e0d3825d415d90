"""How long the function waits for the managed signing of private ECR."""

from __future__ import annotations

from dataclasses import dataclass, field

from lambda_handler.aws.signing import Signing
from lambda_handler.clock import Deadline
from lambda_handler.log import Log
from lambda_handler.oci import Digest, PrivateEcr
from lambda_handler.retry import Retry
from tests.support.clock import SteppingClock

PROFILE = "arn:aws:signer:us-east-1:123456789012:/signing-profiles/internal"
REGISTRY = PrivateEcr(account="123456789012", region="us-east-1")


@dataclass
class Ecr:
    """Private ECR that takes *seconds* to sign an image."""

    clock: SteppingClock
    seconds: float
    asked: list[str] = field(default_factory=list)

    def describe_image_signing_status(self, **parameters: object) -> dict[str, object]:
        self.asked.append(str(parameters["repositoryName"]))
        status = "COMPLETE" if self.clock.now() >= self.seconds else "IN_PROGRESS"
        return {"signingStatuses": [{"signingProfileArn": PROFILE, "status": status}]}


def status(seconds: float, until: float, images: int = 1) -> tuple[list[tuple[str, str]], Ecr]:
    """Ask about *images*, with 100 seconds for the request; return the statuses."""
    clock = SteppingClock()
    ecr = Ecr(clock, seconds)
    signing = Signing(lambda *_: ecr, Retry(Deadline.after(100, clock), Log()), until)
    digests = [Digest.of(b"%d" % number) for number in range(images)]
    return [signing.status(REGISTRY, "acme/agent", digest, PROFILE) for digest in digests], ecr


def test_waits_for_a_signature() -> None:
    found, ecr = status(seconds=12, until=50)

    assert found == [("COMPLETE", "")]
    assert ecr.clock.slept == [5.0] * 3


def test_the_limit_is_for_all_images_together() -> None:
    found, ecr = status(seconds=1000, until=50, images=3)

    assert found == [("IN_PROGRESS", "after 50 s"), ("IN_PROGRESS", ""), ("IN_PROGRESS", "")]
    assert sum(ecr.clock.slept) == 50
    # The status of the others is requested once more, without waiting.
    assert len(ecr.asked) == 11 + 2


def test_a_review_does_not_wait() -> None:
    found, ecr = status(seconds=1000, until=0)

    assert found == [("IN_PROGRESS", "")]
    assert ecr.clock.slept == []

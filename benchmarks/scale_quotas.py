"""The quotas of the services per second, and the minimum time of work within them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from cdk_ecrpublic.sandbox import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """
    The allowed requests per second; None for no limit.

    Each quota is a token bucket with the tokens of one second. The quotas of ECR
    Public are for an account; those of Systems Manager for an account and Region.

    Attributes:
        read_parameters: GetParameter, GetParameters and GetParametersByPath together.
    """

    put_image: float | None = None
    initiate_layer_upload: float | None = None
    complete_layer_upload: float | None = None
    batch_delete_image: float | None = None
    describe_images: float | None = None
    put_parameter: float | None = None
    delete_parameter: float | None = None
    read_parameters: float | None = None

    def settings(self) -> Settings:
        """Return the quotas of ECR Public in the format of the sandbox."""
        return Settings(
            put_images_per_second=self.put_image,
            initiate_layer_uploads_per_second=self.initiate_layer_upload,
            complete_layer_uploads_per_second=self.complete_layer_upload,
            batch_delete_images_per_second=self.batch_delete_image,
            describe_images_per_second=self.describe_images,
        )

    def limit_of(self, operation: str) -> tuple[str, float | None]:
        """Return the name and the limit of the quota for an operation of Systems Manager."""
        writes = {"PutParameter": self.put_parameter, "DeleteParameter": self.delete_parameter}
        return (operation, writes[operation]) if operation in writes else ("read", self.read_parameters)

    def seconds(self, work: Mapping[str, int]) -> float:
        """
        Return the minimum time of *work* in seconds, which the slowest quota determines.

        Args:
            work: The number of requests, by quota: ``{"put_image": 1000}``.
        """
        limits = asdict(self)
        return max((number / limits[name] for name, number in work.items() if limits[name]), default=0.0)


NONE = Quotas()

PUBLISHED = Quotas(
    put_image=10,
    initiate_layer_upload=10,
    complete_layer_upload=10,
    put_parameter=3,
    delete_parameter=5,
    read_parameters=40,
)
"""
The known quotas.

References:
    Amazon ECR Public user guide, "Service quotas"; AWS General Reference,
    "Parameter Store" (reads). The two writes are not documented, but AWS support
    has stated them: github-aws-runners/terraform-aws-github-runner#2944 (3
    PutParameter) and #5243 (5 DeleteParameter).
"""


@dataclass(slots=True)
class Counts:
    """
    Requests by operation.

    Attributes:
        asked: All requests.
        throttled: The throttled ones.
    """

    asked: Counter[str] = field(default_factory=Counter)
    throttled: Counter[str] = field(default_factory=Counter)

    def count(self, operation: str, *, is_throttled: bool) -> None:
        """Count a request."""
        self.asked[operation] += 1
        if is_throttled:
            self.throttled[operation] += 1

"""What the services allow in a second, and how long work takes within it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from cdk_ecrpublic.sandbox import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """
    Requests that are taken in a second; None: any number.

    Each is a bucket that holds what one second allows. Those of ECR Public are
    an account's; those of Systems Manager an account's in each Region.

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
        """Return those of ECR Public as the sandbox takes them."""
        return Settings(
            put_images_per_second=self.put_image,
            initiate_layer_uploads_per_second=self.initiate_layer_upload,
            complete_layer_uploads_per_second=self.complete_layer_upload,
            batch_delete_images_per_second=self.batch_delete_image,
            describe_images_per_second=self.describe_images,
        )

    def limit_of(self, operation: str) -> tuple[str, float | None]:
        """Return the quota that an operation of Systems Manager counts against: its name, and what it allows."""
        writes = {"PutParameter": self.put_parameter, "DeleteParameter": self.delete_parameter}
        return (operation, writes[operation]) if operation in writes else ("read", self.read_parameters)

    def seconds(self, work: Mapping[str, int]) -> float:
        """
        Return how long *work* takes at the least: as long as what waits longest.

        Args:
            work: Requests by the quota that they count against: ``{"put_image": 1000}``.
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
What is known.

Source:
    Amazon ECR Public user guide, "Service quotas"; AWS General Reference,
    "Parameter Store" (reads). The two writes are not in the documentation, but
    people were told: github-aws-runners/terraform-aws-github-runner#2944 (3
    PutParameter) and #5243 (5 DeleteParameter).
"""


@dataclass(slots=True)
class Counts:
    """
    Requests by operation.

    Attributes:
        asked: All of them.
        throttled: Those that were refused since there were too many.
    """

    asked: Counter[str] = field(default_factory=Counter)
    throttled: Counter[str] = field(default_factory=Counter)

    def count(self, operation: str, *, is_throttled: bool) -> None:
        """Count a request."""
        self.asked[operation] += 1
        if is_throttled:
            self.throttled[operation] += 1

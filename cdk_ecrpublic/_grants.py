"""
IAM actions, each list with the use that needs it.

Source: service authorization reference, "Actions, resources, and condition
keys for Amazon Elastic Container Registry Public".
"""

from __future__ import annotations

PUBLISH_ACTIONS = (
    "ecr-public:DescribeImages",
    "ecr-public:DescribeRepositories",
    "ecr-public:PutImage",
)
"""To see where tags point, to find the repository's address, and to put images. On the repository."""

REGISTRY_ACTIONS = ("ecr-public:DescribeRegistries",)
"""To find the account id behind an alias. On the registry."""

LOGIN_ACTIONS = (
    "ecr-public:GetAuthorizationToken",
    "sts:GetServiceBearerToken",
)
"""To read manifests as an authenticated client, ten times as often as others. AWS offers no resource but ``*``."""

PUSH_ACTIONS = (
    "ecr-public:BatchCheckLayerAvailability",
    "ecr-public:CompleteLayerUpload",
    "ecr-public:InitiateLayerUpload",
    "ecr-public:PutImage",
    "ecr-public:UploadLayerPart",
)
"""To push layers and manifests, as ``docker push`` does. On the repository."""

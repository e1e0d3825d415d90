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
"""
To store layers over HTTP, and to read manifests ten times as often as others may.

AWS offers no resource but ``*``.
"""

CHECK_ACTIONS = ("ecr-public:BatchCheckLayerAvailability",)
"""To see whether the layers of a manifest that is given as text are there. On the repository."""

COPY_ACTIONS = (
    "ecr-public:BatchCheckLayerAvailability",
    "ecr-public:CompleteLayerUpload",
    "ecr-public:InitiateLayerUpload",
    "ecr-public:UploadLayerPart",
)
"""To store layers that are copied from elsewhere. On the repository."""

PUSH_ACTIONS = ("ecr-public:PutImage", *COPY_ACTIONS)
"""To push layers and manifests, as ``docker push`` does. On the repository."""

DESCRIBE_ACTIONS = (
    "ecr-public:DescribeImages",
    "ecr-public:DescribeImageTags",
    "ecr-public:DescribeRepositories",
)
"""To list images and tags by the API. On the repository."""

OBJECT_READ_ACTIONS = ("s3:GetObject",)
"""To read a manifest or an archive of images. On that very object."""

ECR_READ_ACTIONS = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
"""To read manifests and layers of private ECR over HTTP. On the private repository."""

ECR_LOGIN_ACTIONS = ("ecr:GetAuthorizationToken",)
"""To log in to private ECR. AWS offers no resource but ``*``."""

STATE_ACTIONS = ("ssm:DeleteParameter", "ssm:GetParameter", "ssm:PutParameter")
"""To remember what an image was resolved to. On its own parameter."""

CLAIMS_ACTIONS = ("ssm:GetParametersByPath",)
"""To see what other images have, before anything is removed. On the path of the repository's parameters."""

STATUS_ACTIONS = ("cloudformation:DescribeStacks",)
"""To tell an update from a rollback. On the stack itself."""

REMOVAL_ACTIONS = ("ecr-public:BatchDeleteImage", "ecr-public:DescribeImages", "ecr-public:DescribeRepositories")
"""To remove tags and images. On the repository."""

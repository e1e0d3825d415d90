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

RECORD_READ_ACTIONS = ("ssm:GetParameter", "ssm:GetParametersByPath")
"""To see what the image was before, and what other images own. On all records of the account."""

RECORD_WRITE_ACTIONS = ("ssm:DeleteParameter", "ssm:PutParameter")
"""To remember what an undo needs. On the stack's own records."""

FIRST_RECORD_LIST_ACTIONS = ("ssm:GetParametersByPath",)
"""To see what version 0.1 remembered of other images. On the paths of all repositories."""

FIRST_RECORD_ACTIONS = ("ssm:DeleteParameter", "ssm:GetParameter")
"""To understand what version 0.1 remembered of the image, and to end it. On the stack's own parameters."""

STATUS_ACTIONS = (
    "cloudformation:DescribeStackEvents",
    "cloudformation:DescribeStackResource",
    "cloudformation:DescribeStacks",
)
"""To tell a deployment from its rollback, and a late request. On the stack, and on the one that it is nested in."""

UNDO_ACTIONS = ("ecr-public:DescribeImages", "ecr-public:DescribeRepositories", "ecr-public:PutImage")
"""To point tags back to where they were. On the repository, for as long as it has images of the stack."""

REMOVAL_ACTIONS = ("ecr-public:BatchDeleteImage", *UNDO_ACTIONS)
"""Also to remove tags and images."""

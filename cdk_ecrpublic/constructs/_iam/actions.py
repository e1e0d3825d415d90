"""
IAM actions, each list with its purpose and its resource.

References: service authorization reference, "Actions, resources, and condition
keys for Amazon Elastic Container Registry Public".
"""

from __future__ import annotations

PUBLISH_ACTIONS = (
    "ecr-public:DescribeImages",
    "ecr-public:DescribeRepositories",
    "ecr-public:PutImage",
)
"""To read where tags point, find the URI of the repository, and put images. On the repository."""

REGISTRY_ACTIONS = ("ecr-public:DescribeRegistries",)
"""To find the account id behind an alias. On the registry."""

LOG_ACTIONS = ("logs:CreateLogStream", "logs:PutLogEvents")
"""To write the log. On the log group."""

LOGIN_ACTIONS = (
    "ecr-public:GetAuthorizationToken",
    "sts:GetServiceBearerToken",
)
"""
To upload layers, and to read manifests at ten times the anonymous rate.

On ``*``: AWS has no resource-level permissions for these actions.
"""

CHECK_ACTIONS = ("ecr-public:BatchCheckLayerAvailability",)
"""To check whether the layers of a manifest from the template exist. On the repository."""

COPY_ACTIONS = (
    "ecr-public:BatchCheckLayerAvailability",
    "ecr-public:CompleteLayerUpload",
    "ecr-public:InitiateLayerUpload",
    "ecr-public:UploadLayerPart",
)
"""To upload layers that are copied. On the repository."""

PUSH_ACTIONS = ("ecr-public:PutImage", *COPY_ACTIONS)
"""To push layers and manifests, as ``docker push`` does. On the repository."""

DESCRIBE_ACTIONS = (
    "ecr-public:DescribeImages",
    "ecr-public:DescribeImageTags",
    "ecr-public:DescribeRepositories",
)
"""To list images and tags through the API. On the repository."""

OBJECT_READ_ACTIONS = ("s3:GetObject",)
"""To read a manifest or an archive. On that object only."""

ECR_READ_ACTIONS = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
"""To read manifests and layers from the registry API of private ECR. On the private repository."""

ECR_LOGIN_ACTIONS = ("ecr:GetAuthorizationToken",)
"""To log in to private ECR. On ``*``: AWS has no resource-level permissions for this action."""

SCAN_ACTIONS = ("ecr:DescribeImageScanFindings",)
"""To read scan findings. On the private repository."""

INSPECTOR_ACTIONS = ("inspector2:ListCoverage", "inspector2:ListFindings")
"""
Private ECR requires them of who reads findings of Amazon Inspector. On ``*``: AWS has no resource-level permissions.

References:
    Amazon ECR user guide, "IAM permissions required for enhanced scanning".
"""
SIGNING_STATUS_ACTIONS = ("ecr:DescribeImageSigningStatus",)
"""To ask whether private ECR has signed an image. On the private repository."""

KMS_VERIFY_ACTIONS = ("kms:GetPublicKey", "kms:Verify")
"""To verify signatures, and find out what kind of key it is. On the key."""

KMS_SIGN_ACTIONS = (*KMS_VERIFY_ACTIONS, "kms:Sign")
"""Also to sign. On the key."""

SIGNER_ACTIONS = ("signer:SignPayload",)
"""To sign with AWS Signer. On the signing profile."""

RECORD_READ_ACTIONS = ("ssm:GetParameter", "ssm:GetParametersByPath")
"""To read what was deployed before, and which tags other resources own. On all records of the account."""

RECORD_WRITE_ACTIONS = ("ssm:DeleteParameter", "ssm:PutParameter")
"""To record what an undo needs. On the stack's own records."""

FIRST_RECORD_LIST_ACTIONS = ("ssm:GetParametersByPath",)
"""To read the records of version 0.1 of other images. On the paths of all repositories."""

FIRST_RECORD_ACTIONS = ("ssm:DeleteParameter", "ssm:GetParameter")
"""To read and delete the record of version 0.1 of the image. On the stack's own parameters."""

STATUS_ACTIONS = (
    "cloudformation:DescribeStackEvents",
    "cloudformation:DescribeStackResource",
    "cloudformation:DescribeStacks",
)
"""To detect a rollback and a late request. On the stack, and on its root stack if it is nested."""

UNDO_ACTIONS = ("ecr-public:DescribeImages", "ecr-public:DescribeRepositories", "ecr-public:PutImage")
"""To move tags back. On the repository, as long as the stack has images in it."""

REMOVAL_ACTIONS = ("ecr-public:BatchDeleteImage", *UNDO_ACTIONS)
"""Also to remove tags and images."""

RETENTION_ACTIONS = ("ecr-public:DescribeImages", "ecr-public:DescribeRepositories")
"""To list images, and to find the URI of the repository. On the repository."""

RETENTION_REMOVAL_ACTIONS = ("ecr-public:BatchDeleteImage", *RETENTION_ACTIONS, "ecr-public:PutImage")
"""Also to remove images that expire, and to put back one that was tagged meanwhile. On the repository."""

STACK_LIST_ACTIONS = ("cloudformation:ListStacks",)
"""To find the stacks that declare images. On ``*``: AWS has no resource-level permissions for this action."""

STACK_READ_ACTIONS = (
    "cloudformation:DescribeStacks",
    "cloudformation:GetTemplate",
    "cloudformation:ListStackResources",
)
"""To read what stacks declare. On all stacks of the account."""

RECORD_LIST_ACTIONS = ("ssm:GetParametersByPath",)
"""To read what was deployed, and what an undo needs. On all records of the account."""

MONITOR_ACTIONS = ("ecr-public:DescribeImages", "ecr-public:DescribeRepositories")
"""To read where tags point. On the repositories."""

MONITOR_REPAIR_ACTIONS = ("ecr-public:PutImage",)
"""To put tags back. On the repositories."""

MONITOR_RECORD_ACTIONS = ("ssm:GetParameter",)
"""To read what a mutable source was resolved to. On all records of the account."""

MONITOR_STATE_ACTIONS = ("ssm:GetParameter", "ssm:PutParameter")
"""To remember what was told. On the parameter of the monitor."""

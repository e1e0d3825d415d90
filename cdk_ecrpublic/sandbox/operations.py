"""The names of all operations of both APIs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Face = Literal["api", "http"]
Authentication = Literal["none", "anonymous", "authenticated"]

SERVICE = "ecr-public"
"""The name of the service in botocore, signatures and IAM."""

API_OPERATIONS = (
    "BatchCheckLayerAvailability",
    "BatchDeleteImage",
    "CompleteLayerUpload",
    "CreateRepository",
    "DeleteRepository",
    "DeleteRepositoryPolicy",
    "DescribeImageTags",
    "DescribeImages",
    "DescribeRegistries",
    "DescribeRepositories",
    "GetAuthorizationToken",
    "GetRegistryCatalogData",
    "GetRepositoryCatalogData",
    "GetRepositoryPolicy",
    "InitiateLayerUpload",
    "ListTagsForResource",
    "PutImage",
    "PutRegistryCatalogData",
    "PutRepositoryCatalogData",
    "SetRepositoryPolicy",
    "TagResource",
    "UntagResource",
    "UploadLayerPart",
)
"""All operations of botocore's ``ecr-public`` model; a test compares."""

HTTP_OPERATIONS = (
    "Ping",
    "Token",
    "GetManifest",
    "HeadManifest",
    "PutManifest",
    "DeleteManifest",
    "GetBlob",
    "HeadBlob",
    "DownloadBlob",
    "StartUpload",
    "GetUpload",
    "UploadChunk",
    "CompleteUpload",
    "ListTags",
    "ListReferrers",
    "Catalog",
    "Unsupported",
    "NotFound",
)
"""
Routes of ``/v2/`` and ``/token/``. DownloadBlob is the URL that GetBlob redirects to.

Unsupported stands for an unsupported method of a known path, NotFound for an unknown path.
"""


CHANGES = frozenset(
    {
        "BatchDeleteImage",
        "CreateRepository",
        "DeleteManifest",
        "DeleteRepository",
        "DeleteRepositoryPolicy",
        "PutImage",
        "PutManifest",
        "PutRegistryCatalogData",
        "PutRepositoryCatalogData",
        "SetRepositoryPolicy",
        "TagResource",
        "UntagResource",
    }
)
"""Operations that change repositories, images and tags. Uploads of layers are not among them: no image has them yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    One request, as faults and the journal see it.

    Attributes:
        repository: The name without host and alias; empty if there is none.
        reference: A tag or digest; empty if there is none.
    """

    face: Face
    operation: str
    repository: str = ""
    reference: str = ""

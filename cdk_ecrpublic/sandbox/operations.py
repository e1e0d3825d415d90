"""The names of everything that a client can ask for, on both faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Face = Literal["api", "http"]
Authentication = Literal["none", "anonymous", "authenticated"]

SERVICE = "ecr-public"
"""What botocore, signatures and IAM call the service."""

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
Routes of ``/v2/`` and ``/token/``; DownloadBlob is the address that GetBlob redirects to.

Unsupported is a method that a path does not take, NotFound a path that no route has.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    One request, as faults and the journal know it.

    Attributes:
        repository: Without host and alias; empty where there is none.
        reference: A tag or digest; empty where there is none.
    """

    face: Face
    operation: str
    repository: str = ""
    reference: str = ""

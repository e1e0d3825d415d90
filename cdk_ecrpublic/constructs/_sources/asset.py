"""Local files that the CDK uploads to S3."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import Stack
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from .._iam.actions import OBJECT_READ_ACTIONS
from ..provider import PublicImageProvider


def upload(scope: Construct, construct_id: str, path: Path, provider: PublicImageProvider) -> dict[str, str]:
    """
    Upload a file with the stack, and allow *provider* to read it.

    Returns:
        The place of the object: ``{"Bucket": …, "Key": …}``.
    """
    asset = s3_assets.Asset(scope, construct_id, path=str(path))
    arn = Stack.of(scope).format_arn(
        service="s3", region="", account="", resource=asset.s3_bucket_name, resource_name=asset.s3_object_key
    )
    provider.allow(OBJECT_READ_ACTIONS, arn)
    return {"Bucket": asset.s3_bucket_name, "Key": asset.s3_object_key}

"""Adapters for S3, private ECR, Parameter Store, CloudFormation and KMS, and the translation of botocore's errors."""

"""The rest of AWS: ministack, and its integration with ECR Public."""

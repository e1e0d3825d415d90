"""The rest of AWS: ministack, and what it is told about ECR Public."""

"""The control-plane API: AWS JSON 1.1, checked with botocore's model."""

"""The control-plane API: AWS JSON 1.1, held against botocore's model."""

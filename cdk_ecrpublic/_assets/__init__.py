"""What the constructs deploy: the Lambda's sources, under a name of our own."""

"""The names of what the constructs leave for the command line, in the CDK context and in the cloud assembly."""

KEY = "cdk-ecrpublic:digest:"
"""The prefix of context keys, which is followed by the mutable reference."""

METADATA = "cdk-ecrpublic:mutable-name"
"""The type of the metadata in which the command finds all mutable references of an app, pinned or not."""

RETENTION_METADATA = "cdk-ecrpublic:retention"
"""The type of the metadata with the settings of retention."""

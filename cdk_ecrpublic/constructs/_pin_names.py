"""What the constructs and the command line call pins, in the context and in the assembly."""

KEY = "cdk-ecrpublic:digest:"
"""What keys of the context begin with; the mutable name follows."""

METADATA = "cdk-ecrpublic:mutable-name"
"""By which the command finds all mutable names of an app, pinned or not."""

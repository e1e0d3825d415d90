"""One module for each custom resource type."""

"""The gallery: read-only web pages of what is in the sandbox."""

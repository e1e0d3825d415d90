"""Retention: which images of a public repository expire, why all others stay, and their removal."""

"""The constructs that an app declares, and what they render."""

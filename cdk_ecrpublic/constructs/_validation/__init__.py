"""Checks at synthesis. Each error names the place, the value and what is allowed."""

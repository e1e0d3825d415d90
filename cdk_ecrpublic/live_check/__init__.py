"""
Runs the same cases on AWS and on the sandbox, and reports the differences.

A case is a function that sends requests and expects nothing. ``docs/decisions/0027-live-check.md``
explains the parts, and how an account is protected.
"""

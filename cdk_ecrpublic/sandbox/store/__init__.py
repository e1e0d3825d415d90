"""The state of the sandbox and its rules, independent of the API."""

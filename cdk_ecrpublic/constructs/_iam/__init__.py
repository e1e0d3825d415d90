"""The function's permissions: which actions, in which policies, and how many fit."""

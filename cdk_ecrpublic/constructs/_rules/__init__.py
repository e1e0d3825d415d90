"""The built-in release rules, one module for each."""

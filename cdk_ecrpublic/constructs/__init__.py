"""What an app declares, and what is rendered from it."""

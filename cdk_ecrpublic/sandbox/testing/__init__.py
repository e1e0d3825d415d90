"""Images for tests, and a container tool to push and read them with."""

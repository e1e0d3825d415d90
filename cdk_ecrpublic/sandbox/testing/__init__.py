"""Images for tests, and a container client that pushes and pulls them."""

"""What the sandbox keeps, and the rules about it, whoever asks."""

"""Compare what is declared with what is there; plan; apply."""

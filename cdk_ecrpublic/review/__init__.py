"""Compare a synthesized app with the live registry, without writing anything."""

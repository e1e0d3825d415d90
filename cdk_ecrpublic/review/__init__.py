"""What a review needs: the app as it is synthesized, and the registry as it is."""

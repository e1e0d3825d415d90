"""What the commands print: for people, for reviews, and for programs."""

"""What is refused at synthesis, with the place, the value and what is allowed."""

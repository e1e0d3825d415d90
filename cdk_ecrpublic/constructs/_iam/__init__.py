"""The permissions of the function: the actions, the policies, and the limits of IAM."""

"""What is declared: the synthesized app, its templates and their intrinsics."""

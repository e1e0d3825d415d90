"""Read the declarations: the synthesized app, its templates and their intrinsic functions."""

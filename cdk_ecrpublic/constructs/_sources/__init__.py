"""One module for each kind of source. ``ImageSource`` has a factory for each."""

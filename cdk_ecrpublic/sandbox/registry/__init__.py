"""The registry API: ``/token/`` and ``/v2/``."""

"""The registry API: ``/token/`` and ``/v2/``, as container tools know it."""

"""Changes pages while mkdocs builds the site; see ``hooks`` in ``mkdocs.yml``."""

from __future__ import annotations

import re

_DEFAULT = re.compile(r",\s*default:\s*<code>.*?</code>\s*(?=\))", re.DOTALL)
"""What mkdocstrings adds to the type of each parameter."""


def on_page_content(html: str, **_: object) -> str:
    """Remove the defaults from the lists of parameters: the signature shows the value, and the text its meaning."""
    return _DEFAULT.sub("", html)

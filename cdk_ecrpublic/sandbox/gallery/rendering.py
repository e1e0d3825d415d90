"""Renders the pages with Jinja2. Everything that is inserted is escaped."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from .addresses import PREFIX
from .formats import Moment
from .relations import tag_text

if TYPE_CHECKING:
    from jinja2 import Environment

PACKAGE = "cdk_ecrpublic.sandbox.gallery"


def render(template: str, view: object, *, host: str, now: Moment) -> bytes:
    """Render a page from its description."""
    text = _environment().get_template(template).render(view=view, host=host, now=now, prefix=PREFIX)
    # JSON can contain half of a surrogate pair, which UTF-8 cannot express.
    return text.encode(errors="backslashreplace")


@cache
def _environment() -> Environment:
    # Imported with the first page: tests start many sandboxes, and most of them never show one.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader(PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["tag"] = tag_text
    return environment

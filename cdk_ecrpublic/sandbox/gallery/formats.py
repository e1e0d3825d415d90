"""Sizes, times and other values as a person reads them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cdk_ecrpublic._assets.lambda_handler.errors import truncated_repr

VALUE_MAX_CHARACTERS = 2000
"""How much of a string from a manifest is shown."""

_UNITS = ("kB", "MB", "GB", "TB")
_STEPS = ((86_400, "day"), (3600, "hour"), (60, "minute"))
_DAYS_MAX = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """
    A time, in the time zone of the machine.

    Attributes:
        machine: ISO 8601, for the ``datetime`` attribute.
        full: The date and the time, to the millisecond.
        clock: The time of the day, to the millisecond.
        age: How long ago it was; the date if that is more than 30 days.
    """

    machine: str
    full: str
    clock: str
    age: str


def moment(seconds: float, now: float) -> Moment:
    """Describe a time, given in seconds since the epoch."""
    local = datetime.fromtimestamp(seconds).astimezone()
    clock = local.strftime("%H:%M:%S.") + f"{local.microsecond // 1000:03}"
    return Moment(
        machine=local.isoformat(timespec="milliseconds"),
        full=f"{local:%Y-%m-%d} {clock} {local:%Z}",
        clock=clock,
        age=_age(now - seconds) or f"{local:%Y-%m-%d}",
    )


def _age(seconds: float) -> str:
    if seconds >= (_DAYS_MAX + 1) * _STEPS[0][0]:
        return ""
    for length, unit in _STEPS:
        if count := int(seconds // length):
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def size_text(count: int) -> str:
    """Return a number of bytes as ``3.4 MB``; units are decimal, as in container tools."""
    if count < 1000:  # noqa: PLR2004 - the first unit
        return f"{count} B"
    value = float(count)
    for unit in _UNITS:
        value /= 1000
        if value < 999.5 or unit == _UNITS[-1]:  # noqa: PLR2004 - the next unit begins when it would round to 1000
            break
    return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"  # noqa: PLR2004


def value_text(value: object) -> str:
    """Return an untrusted value as a string of a limited length."""
    text = value if isinstance(value, str) else truncated_repr(value)
    return text if len(text) <= VALUE_MAX_CHARACTERS else f"{text[:VALUE_MAX_CHARACTERS]}…"

"""
The parameters of a construct, for ``inspect.signature`` and ``help``.

jsii creates constructs with a metaclass whose ``__call__`` takes any arguments.
Python reads the signature of a class from there, so ``help(PublicImage)`` would
begin with ``PublicImage(*args: Any, **kwargs) -> ~M``.
"""

from __future__ import annotations

import inspect
from typing import TypeVar

ConstructClass = TypeVar("ConstructClass", bound=type)


class _SignatureOfInit:
    """Computed for the class that is asked, so a subclass with its own ``__init__`` shows its own parameters."""

    def __get__(self, instance: object, owner: type) -> inspect.Signature:
        """Return the signature of ``__init__`` without ``self``."""
        signature = inspect.signature(owner.__init__)  # type: ignore[misc]  # the owner's own, whichever it is
        _, *parameters = signature.parameters.values()
        return signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)


def shows_parameters(construct: ConstructClass) -> ConstructClass:
    """Make ``inspect.signature`` and ``help`` show the parameters of ``__init__``; for use as a decorator."""
    construct.__signature__ = _SignatureOfInit()  # type: ignore[attr-defined]  # Python looks for this attribute
    return construct

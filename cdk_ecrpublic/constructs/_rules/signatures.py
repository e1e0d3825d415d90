"""See ``ReleaseRule.required_signatures``."""

from __future__ import annotations

from collections.abc import Sequence

from constructs import Construct

from ..._assets.lambda_handler.spec import Property
from .._sources.base import SourceBinding
from .._validation.values import check_flag, check_kind, check_list, refuse
from ..provider import PublicImageProvider
from ..signing import IRequiredSignature
from .base import RuleBinding

_WHAT = "ReleaseRule.required_signatures"


class SignatureRule:
    """Grants the permissions to verify, and renders the property."""

    def __init__(
        self, signatures: Sequence[IRequiredSignature], *, any_of: bool, each_platform: bool, warn_only: bool
    ) -> None:
        check_list(_WHAT, signatures, "signatures, e.g. [RequiredSignature.kms(key)]")
        if not signatures:
            refuse(_WHAT, "has no signatures; expected at least one, e.g. [RequiredSignature.kms(key)]")
        for number, signature in enumerate(signatures):
            check_kind(f"{_WHAT}[{number}]", signature, "bind", "a RequiredSignature, e.g. RequiredSignature.kms(key)")
        for name, flag in (("any_of", any_of), ("each_platform", each_platform), ("warn_only", warn_only)):
            check_flag(f"{_WHAT}: {name}", flag)
        self._signatures, self._list = signatures, "AnyOf" if any_of else "AllOf"
        self._each_platform, self._warn_only = each_platform, warn_only

    def bind(self, scope: Construct, provider: PublicImageProvider, source: SourceBinding) -> RuleBinding:
        """Render the rule."""
        del scope
        provider.allow_reading()
        value: dict[str, object] = {self._list: [each.bind(provider, source) for each in self._signatures]}
        if self._each_platform:
            value["EachPlatform"] = True
        return RuleBinding(name=Property.REQUIRED_SIGNATURES, value=value, warn_only=self._warn_only)

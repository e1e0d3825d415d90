"""See ``ReleaseRule.required_referrers``."""

from __future__ import annotations

from dataclasses import dataclass

from constructs import Construct

from ..._assets.lambda_handler.spec import Property
from .._sources.base import SourceBinding
from ..provider import PublicImageProvider
from .base import RuleBinding


@dataclass(frozen=True, slots=True)
class RequiredReferrersRule:
    """A rule that reads the destination repository."""

    types: tuple[str, ...]
    each_platform: bool
    warn_only: bool

    def bind(self, scope: Construct, provider: PublicImageProvider, source: SourceBinding) -> RuleBinding:
        """Allow reading with a login, which is faster, and render the rule."""
        del scope, source
        provider.allow_reading()
        value = {"Types": list(self.types), **({"EachPlatform": True} if self.each_platform else {})}
        return RuleBinding(name=Property.REQUIRED_REFERRERS, value=value, warn_only=self.warn_only)

"""
AWS CDK constructs that make Amazon ECR Public declarative.

Example::

    repository = PublicRepository.from_repository_name(self, "Agent", "acme/agent")

    PublicImage(
        self, "Release",
        repository=repository,
        source=ImageSource.digest("sha256:9f2c…"),
        tags=ReleaseTags.semver("1.4.2"),  # 1.4.2, 1.4, 1 and latest
    )
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
    from .catalog.construct import PublicImageCatalog
    from .catalog.model import ImageSettings
    from .catalog.problems import CatalogError
    from .constructs._rules.base import IReleaseRule, RuleBinding
    from .constructs._rules.scan_findings import IgnoredFinding
    from .constructs._sources.base import IImageSource, SourceBinding
    from .constructs.image_source import ImageSource
    from .constructs.monitor import PublicImageMonitor
    from .constructs.on_tag_removed import OnTagRemoved
    from .constructs.provider import PublicImageProvider
    from .constructs.provider_stack import PublicImageProviderStack
    from .constructs.public_image import PublicImage
    from .constructs.public_repository import IPublicRepository, PublicRepository
    from .constructs.release_rule import ReleaseRule
    from .constructs.release_tags import ReleaseTags
    from .constructs.retention import PublicRepositoryRetention, RetentionMode
    from .constructs.signing import IRequiredSignature, ISigning, RequiredSignature, Signing

__all__ = [
    "CatalogError",
    "IImageSource",
    "IPublicRepository",
    "IReleaseRule",
    "IRequiredSignature",
    "ISigning",
    "IgnoredFinding",
    "ImageSettings",
    "ImageSource",
    "OnTagRemoved",
    "PublicImage",
    "PublicImageCatalog",
    "PublicImageMonitor",
    "PublicImageProvider",
    "PublicImageProviderStack",
    "PublicRepository",
    "PublicRepositoryRetention",
    "ReleaseRule",
    "ReleaseTags",
    "RequiredSignature",
    "RetentionMode",
    "RuleBinding",
    "Signing",
    "SourceBinding",
]

_MODULES = {
    "CatalogError": "catalog.problems",
    "IImageSource": "constructs._sources.base",
    "IPublicRepository": "constructs.public_repository",
    "IReleaseRule": "constructs._rules.base",
    "IgnoredFinding": "constructs._rules.scan_findings",
    "IRequiredSignature": "constructs.signing",
    "ISigning": "constructs.signing",
    "ImageSettings": "catalog.model",
    "ImageSource": "constructs.image_source",
    "OnTagRemoved": "constructs.on_tag_removed",
    "PublicImage": "constructs.public_image",
    "PublicImageCatalog": "catalog.construct",
    "PublicImageMonitor": "constructs.monitor",
    "PublicImageProvider": "constructs.provider",
    "PublicImageProviderStack": "constructs.provider_stack",
    "PublicRepository": "constructs.public_repository",
    "PublicRepositoryRetention": "constructs.retention",
    "ReleaseRule": "constructs.release_rule",
    "ReleaseTags": "constructs.release_tags",
    "RetentionMode": "constructs.retention",
    "RequiredSignature": "constructs.signing",
    "RuleBinding": "constructs._rules.base",
    "Signing": "constructs.signing",
    "SourceBinding": "constructs._sources.base",
}


def _get(name: str) -> object:
    """Import a construct on first use, so that the command line does not start the Node.js process of aws-cdk-lib."""
    if name == "__version__":
        return importlib.import_module("._version", __name__).version()
    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)


if not TYPE_CHECKING:
    # A type checker that sees it accepts every name.
    __getattr__ = _get


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

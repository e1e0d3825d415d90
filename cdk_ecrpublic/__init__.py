"""
AWS CDK constructs that make Amazon ECR Public declarative.

Example::

    repository = PublicRepository.from_repository_name(self, "Agent", "acme/agent")

    PublicImage(
        self, "Release",
        repository=repository,
        source=ImageSource.digest("sha256:9f2c…"),
        tags=["1.4.2", "1.4", "latest"],
    )
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .catalog.construct import PublicImageCatalog
    from .catalog.model import ImageSettings
    from .catalog.problems import CatalogError
    from .constructs._sources.base import IImageSource, SourceBinding
    from .constructs.image_source import ImageSource
    from .constructs.on_tag_removed import OnTagRemoved
    from .constructs.provider import PublicImageProvider
    from .constructs.provider_stack import PublicImageProviderStack
    from .constructs.public_image import PublicImage
    from .constructs.public_repository import IPublicRepository, PublicRepository

__all__ = [
    "CatalogError",
    "IImageSource",
    "IPublicRepository",
    "ImageSettings",
    "ImageSource",
    "OnTagRemoved",
    "PublicImage",
    "PublicImageCatalog",
    "PublicImageProvider",
    "PublicImageProviderStack",
    "PublicRepository",
    "SourceBinding",
]

_MODULES = {
    "CatalogError": "catalog.problems",
    "IImageSource": "constructs._sources.base",
    "IPublicRepository": "constructs.public_repository",
    "ImageSettings": "catalog.model",
    "ImageSource": "constructs.image_source",
    "OnTagRemoved": "constructs.on_tag_removed",
    "PublicImage": "constructs.public_image",
    "PublicImageCatalog": "catalog.construct",
    "PublicImageProvider": "constructs.provider",
    "PublicImageProviderStack": "constructs.provider_stack",
    "PublicRepository": "constructs.public_repository",
    "SourceBinding": "constructs._sources.base",
}


def __getattr__(name: str) -> object:
    """Import a construct on first use, so that the command line does not start the Node.js process of aws-cdk-lib."""
    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__

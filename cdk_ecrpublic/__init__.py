"""
Amazon ECR Public, declared in an AWS CDK stack.

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
    from ._sources.base import IImageSource, SourceBinding
    from .catalog.construct import PublicImageCatalog
    from .catalog.model import ImageSettings
    from .catalog.problems import CatalogError
    from .image_source import ImageSource
    from .provider import PublicImageProvider
    from .provider_stack import PublicImageProviderStack
    from .public_image import PublicImage
    from .public_repository import IPublicRepository, PublicRepository
    from .removal import OnTagRemoved

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
    "IImageSource": "_sources.base",
    "IPublicRepository": "public_repository",
    "ImageSettings": "catalog.model",
    "ImageSource": "image_source",
    "OnTagRemoved": "removal",
    "PublicImage": "public_image",
    "PublicImageCatalog": "catalog.construct",
    "PublicImageProvider": "provider",
    "PublicImageProviderStack": "provider_stack",
    "PublicRepository": "public_repository",
    "SourceBinding": "_sources.base",
}


def __getattr__(name: str) -> object:
    """Import a construct when it is asked for: the command line must not start aws-cdk-lib's Node process."""
    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__

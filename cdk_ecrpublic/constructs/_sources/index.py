"""An index that is assembled from images of any kind of source."""

from __future__ import annotations

from collections.abc import Mapping

from constructs import Construct

from ..._assets.lambda_handler.oci import ManifestMediaType, Platform
from .._validation.values import check, check_choices, check_mapping, check_source, check_text, refuse
from ..provider import PublicImageProvider
from .base import IImageSource, SourceBinding, check_whole

INDEX_TYPES = tuple(media_type.value for media_type in ManifestMediaType if media_type.is_index)


class IndexSource:
    """See ``ImageSource.index``."""

    def __init__(
        self, images: Mapping[str, IImageSource], annotations: Mapping[str, str], media_type: str | None
    ) -> None:
        check_mapping("ImageSource.index", images, 'a source for each platform: {"linux/amd64": …, "linux/arm64": …}')
        if not images:
            refuse("ImageSource.index", "has no images; expected at least one, by platform")
        for platform, source in images.items():
            check("ImageSource.index", platform, Platform.parse)
            check_source(f"ImageSource.index: {platform}", source)
        check_mapping("ImageSource.index: annotations", annotations, 'strings by name: {"key": "value"}')
        for name, text in annotations.items():
            check_text(f"ImageSource.index: annotations[{name!r}]", text)
        check_choices("ImageSource.index: media_type", [media_type] if media_type else [], INDEX_TYPES)
        self._images, self._annotations, self._media_type = images, annotations, media_type

    def bind(self, scope: Construct, provider: PublicImageProvider) -> SourceBinding:
        # A child scope for each part, because two parts may both create an asset.
        bindings = {
            platform: source.bind(Construct(scope, platform.replace("/", "-")), provider)
            for platform, source in sorted(self._images.items())
        }
        for platform, binding in bindings.items():
            check_whole(f"{scope.node.path}: ImageSource.index: {platform}", binding)
        index: dict[str, object] = {
            "Manifests": [
                {"Platform": platform, "Source": binding.properties} for platform, binding in bindings.items()
            ]
        }
        if self._media_type:
            index["MediaType"] = self._media_type
        if self._annotations:
            index["Annotations"] = dict(sorted(self._annotations.items()))
        return SourceBinding(
            properties={"Index": index},
            mutable_tags=tuple(tag for binding in bindings.values() for tag in binding.mutable_tags),
            copies=any(binding.copies for binding in bindings.values()),
            needs_layers=any(binding.needs_layers for binding in bindings.values()),
            private_repositories=tuple(arn for binding in bindings.values() for arn in binding.private_repositories),
        )

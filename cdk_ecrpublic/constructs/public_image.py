"""The construct that this library is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import CfnResource, CustomResource, Duration, Fn, RemovalPolicy, Stack
from constructs import Construct

from .._assets.lambda_handler.oci import parse_tag
from .._assets.lambda_handler.spec import RESOURCE_TYPE, Property, encode
from ._pins import Pinning
from ._records import Neighbours, parameter_name
from ._sources.base import IImageSource, SourceBinding, check_whole
from ._validation.image import (
    check_kinds,
    check_partition,
    check_rules,
    check_tags,
    claim_tags,
    repository_key,
)
from ._validation.values import check, is_known, refuse, refuse_kind
from ._warnings import warn_of_failures, warn_of_undeclared_tag
from .on_tag_removed import OnTagRemoved
from .provider import PublicImageProvider
from .public_repository import IPublicRepository

SERVICE_TIMEOUT = Duration.seconds(300)
COPY_SERVICE_TIMEOUT = Duration.seconds(960)
"""
How long CloudFormation waits for the function before it gives up.

Its default is an hour, which is what a function that crashes would cost.
Lambda repeats a crashed invocation after one and after two more minutes; five
minutes leave room for both. Copying layers may take the function's whole 15
minutes, and CloudFormation a minute more. Part of the properties, so never changed lightly:
a new value sends an update to every deployed image.
"""


class PublicImage(Construct):
    """
    An image that must be in a public repository, under these tags.

    ``cdk deploy`` puts the tags where they are declared; a rollback puts them
    back where they were, also those that were taken over from elsewhere, and
    leaves those that did not exist before. Removing the construct, or a tag
    from it, removes nothing from the registry, unless ``removal_policy`` or
    ``on_tag_removed`` says so.

    Args:
        repository: Where it is published.
        source: The image; see ``ImageSource``.
        tags: What must point to it, put in this order. Default: none, the
            image is published by its digest only.
        expected_digest: What the source must turn out to be; anything else
            fails the deployment before a write. Default: whatever the source is.
        platforms: Only these, as ``os/architecture[/variant]``: an index is
            reduced to them and their attestations, and so gets another
            digest; a single image must be of one of them. Default: all.
        required_platforms: What the image must run on; one that lacks any
            fails the deployment before a write. Default: anything.
        immutable_tags: Tags that may not move to another image, exactly or as
            patterns: ``1.4.*``. A deployment that would move one fails before
            a write; a rollback may always move it back. They are put first,
            and never removed. Default: none.
        on_tag_removed: What becomes of a tag that is no longer in *tags*.
            Default: it stays in the registry.
        removal_policy: ``DESTROY`` removes the tags with the construct or its
            stack while they point to the image, and the image (an index before
            its children) if nobody else has it. Nothing else asks for that:
            ``RemovalPolicies.of(scope).destroy()`` removes nothing from the
            registry; its ``retain()`` keeps what this would remove.
            Default: ``RETAIN``.
        include_referrers: Whether signatures, SBOMs and attestations that refer
            to a copied image come along: what the source's registry lists as
            referrers, and the tags ``sha256-<hex>`` with ``.sig``, ``.att``
            and ``.sbom`` of cosign. Default: they do not.
        refresh: Any string. When it changes, all tags are put again, e.g.
            after one was moved by hand. Default: applied when the declaration
            changes.
        provider: The function that does it. Default: the stack's own; see
            ``PublicImageProvider``.

    Raises:
        ValueError: A value outside its grammar, a tag that another
            ``PublicImage`` of the app declares already, or a stack in a
            partition that has no ECR Public.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        repository: IPublicRepository,
        source: IImageSource,
        tags: Sequence[str] = (),
        expected_digest: str | None = None,
        platforms: Sequence[str] = (),
        required_platforms: Sequence[str] = (),
        immutable_tags: Sequence[str] = (),
        on_tag_removed: OnTagRemoved = OnTagRemoved.KEEP,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
        include_referrers: bool = False,
        refresh: str | None = None,
        provider: PublicImageProvider | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        check_partition(self)
        check_kinds(path := self.node.path, repository, source)
        check_tags(path, tags)
        check_rules(
            path, expected_digest, platforms=platforms, required_platforms=required_platforms,
            immutable_tags=immutable_tags, on_tag_removed=on_tag_removed, removal_policy=removal_policy,
            include_referrers=include_referrers, refresh=refresh,
        )  # fmt: skip
        claim_tags(self, key := repository_key(self, repository), tags)
        stays = removal_policy is RemovalPolicy.RETAIN
        warn_of_failures(self, repository, tags, platforms=[*platforms, *required_platforms], stays=stays)
        self._repository, self._tags = repository, tags
        self._provider = self._provider_or_default(provider)
        self._removes = on_tag_removed is OnTagRemoved.UNTAG or removal_policy is RemovalPolicy.DESTROY
        self._is_remembered = False
        binding = self._bind(source, pinning := Pinning(self, repository))
        self._check_digest(expected_digest, binding, is_whole=not platforms)
        pinning.warn_of(binding.mutable_tags)
        properties = {
            Property.REGISTRY_ID: repository.registry_id,
            Property.REPOSITORY_NAME: repository.repository_name,
            Property.IMAGE_TAGS: tags if isinstance(tags, list) else list(tags),
            # The digest of what is left of an index is not that of the source.
            Property.IMAGE_DIGEST: expected_digest or (None if platforms else binding.image_digest),
            Property.SOURCE: binding.properties,
            Property.PLATFORMS: list(platforms),
            Property.REQUIRED_PLATFORMS: list(required_platforms),
            Property.IMMUTABLE_TAGS: list(immutable_tags),
            Property.INCLUDE_REFERRERS: True if include_referrers else None,
            Property.ON_TAG_REMOVED: None if on_tag_removed is OnTagRemoved.KEEP else on_tag_removed.value,
            Property.ON_DELETE: "Delete" if removal_policy is RemovalPolicy.DESTROY else None,
            Property.REFRESH: refresh,
        }
        self._resource = self._declare(encode(properties), binding)
        self.node.default_child = self._resource.node.default_child
        self._keep_permissions(key)
        if binding.mutable_tags and expected_digest is None:
            self.remember()
        Neighbours.of(self, key).join(self, removes=self._removes)

    def remember(self) -> None:
        """
        Have the function remember in any case what it knows of this image.

        Done by itself where it is needed: for a source that may come to stand
        for another image, which a rollback has to restore, and in a repository
        from which something may be removed.
        """
        resource = self._resource.node.default_child
        if self._is_remembered or not isinstance(resource, CfnResource):
            return
        self._is_remembered = True
        stack = Stack.of(self)
        name = parameter_name(self._repository, stack, resource.logical_id)
        resource.add_property_override(Property.STATE_PARAMETER_NAME.value, name)

    @property
    def image_digest(self) -> str:
        """The image's digest, ``sha256:…``; known when it is published."""
        return self._resource.get_att_string("ImageDigest")

    @property
    def image_manifest_media_type(self) -> str:
        """The media type of its manifest; tells an index from an image."""
        return self._resource.get_att_string("ImageManifestMediaType")

    @property
    def image_uri(self) -> str:
        """The address that always is this image: ``public.ecr.aws/<alias>/<name>@sha256:…``."""
        return self._resource.get_att_string("ImageUri")

    @property
    def registry_id(self) -> str:
        """The account id of the registry that it was published to."""
        return self._resource.get_att_string("RegistryId")

    @property
    def repository_name(self) -> str:
        """The name of the repository, without registry host and alias."""
        return self._resource.get_att_string("RepositoryName")

    @property
    def repository_uri(self) -> str:
        """The address of the repository: ``public.ecr.aws/<alias>/<name>``."""
        return self._resource.get_att_string("RepositoryUri")

    def image_uri_for_tag(self, tag: str) -> str:
        """
        Return the address by a tag, ``public.ecr.aws/<alias>/<name>:<tag>``; what uses it waits for the image.

        Raises:
            ValueError: Not a tag.
        """
        check(f"{self.node.path}: image_uri_for_tag", tag, parse_tag)
        warn_of_undeclared_tag(self, tag, self._tags)
        return Fn.join(":", [self.repository_uri, tag])

    def _bind(self, source: IImageSource, pinning: Pinning) -> SourceBinding:
        binding = source.bind(self, self._provider)
        if not isinstance(binding, SourceBinding):
            refuse_kind(f"{self.node.path}: source", binding, "a SourceBinding from its bind()")
        return pinning.apply(binding)

    def _declare(self, properties: Mapping[str, object], binding: SourceBinding) -> CustomResource:
        self._provider.allow_publishing(self._repository, copies=binding.copies, needs_layers=binding.needs_layers)
        return CustomResource(
            self,
            "Resource",
            resource_type=RESOURCE_TYPE,
            service_token=self._provider.service_token,
            service_timeout=COPY_SERVICE_TIMEOUT if binding.copies else SERVICE_TIMEOUT,
            properties=properties,
        )

    def _keep_permissions(self, key: tuple[str, ...]) -> None:
        """Let the function clean up until the resource is deleted or replaced."""
        self._resource.node.add_dependency(self._provider.invocations)
        self._provider.keep_for_undo(self._resource, self._repository, key, removes=self._removes)

    def _provider_or_default(self, provider: PublicImageProvider | None) -> PublicImageProvider:
        if provider is None:
            return PublicImageProvider.of(self)
        if not isinstance(provider, PublicImageProvider):
            refuse_kind(f"{self.node.path}: provider", provider, "a PublicImageProvider of this stack")
        if Stack.of(provider) is not Stack.of(self):
            refuse(
                f"{self.node.path}: provider",
                f"{provider.node.path!r} is in another stack; make a PublicImageProvider in "
                f"stack {Stack.of(self).stack_name!r}",
            )
        return provider

    def _check_digest(self, expected: str | None, binding: SourceBinding, *, is_whole: bool) -> None:
        if not is_whole:
            check_whole(f"{self.node.path}: platforms", binding)
            return
        found = binding.image_digest or binding.properties.get("Digest")
        is_clear = bool(expected and found) and is_known(expected) and is_known(found)
        if is_clear and expected != found:
            refuse(
                f"{self.node.path}: expected_digest",
                f"{expected!r} is not the digest of the source, which is {found!r}",
            )

"""The construct ``PublicImage``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import CfnResource, CustomResource, Duration, Fn, RemovalPolicy
from constructs import Construct

from .._assets.lambda_handler.oci import parse_tag
from .._assets.lambda_handler.spec import RESOURCE_TYPE, Property, encode
from ._exports import ExportWarnings
from ._pins import Pinning
from ._records import RepositoryImages, parameter_name
from ._rules.base import IReleaseRule, bind_rules
from ._signature import shows_parameters
from ._sources.base import IImageSource, SourceBinding, check_whole
from ._tree import node_of, path_of, placed, stack_of
from ._validation.image import (
    check_kinds,
    check_options,
    check_partition,
    check_tags,
    reject_duplicate_tags,
    repository_key,
)
from ._validation.values import check, check_kind, is_known, refuse, refuse_kind
from ._warnings import warn_of_failures, warn_of_undeclared_tag
from .on_tag_removed import OnTagRemoved
from .provider import PublicImageProvider
from .public_repository import IPublicRepository
from .signing import ISigning

SERVICE_TIMEOUT = Duration.seconds(300)
COPY_SERVICE_TIMEOUT = Duration.seconds(960)
"""
How long CloudFormation waits for a response.

CloudFormation's default is an hour, for which a deployment would hang if the
function crashed. Lambda retries a crashed invocation after one minute and after
two more; five minutes leave room for both. Copying layers may take the function's
whole 15 minutes, plus a minute. This is one of the properties: a new value sends
an update to every deployed image.
"""


@shows_parameters
class PublicImage(Construct):
    """
    An image in a public repository, with its tags.

    ``cdk deploy`` moves the tags to the image. A rollback moves them back,
    including tags that were taken over from elsewhere. Tags that did not exist
    before stay, unless the declaration removes tags. If you remove the construct, or a tag from it, nothing is removed
    from the registry, unless you set ``removal_policy`` or ``on_tag_removed``.

    ```python
    PublicImage(
        self, "Release",
        repository=PublicRepository.from_repository_name(self, "Agent", "acme/agent"),
        source=ImageSource.digest("sha256:9f2c…"),
        tags=["1.4.2", "1.4", "latest"],
        required_platforms=["linux/amd64", "linux/arm64"],
    )
    ```

    Args:
        repository: The repository to publish to.
        source: Where the image comes from; see ``ImageSource``.
        tags: The tags of the image, put in this order; ``ReleaseTags`` makes
            those of a version. Default: none; the image is published by digest
            only.
        expected_digest: The digest that the source must have. Any other digest
            fails the deployment before anything is written. Default: any.
        platforms: Publish only these platforms, as
            ``os/architecture[/variant]``. An index is reduced to them and their
            attestations, and so gets another digest; a single image must have
            one of them. Default: all.
        required_platforms: Platforms that the image must have. If one is missing,
            the deployment fails before anything is written. Default: none.
        immutable_tags: Tags that must not move to another image, or patterns
            such as ``1.4.*``. A deployment that would move one fails before
            anything is written; a rollback may always move it back. Immutable
            tags are put first, and are never removed. Default: none.
        rules: Further rules for the release; see ``ReleaseRule``. Default: none.
        sign_with: The service that signs the image before its tags move; see ``Signing``.
            Default: none; the image is not signed.
        on_tag_removed: What happens to a tag that is no longer in *tags*.
            Default: it stays in the registry.
        removal_policy: With ``DESTROY``, deleting the construct or its stack
            removes the tags that still point to the image, and deletes the image
            (an index before its children) if nothing else refers to it, even if
            the image existed before the construct. Only this
            option does so: ``RemovalPolicies.of(scope).destroy()`` removes
            nothing from the registry, and its ``retain()`` keeps what this
            option would remove. Default: ``RETAIN``.
        include_referrers: Whether to also copy the signatures, SBOMs and
            attestations that refer to a copied image: the referrers that the
            source registry lists, and cosign's tags ``sha256-<hex>`` with
            ``.sig``, ``.att`` and ``.sbom``. Default: False.
        refresh: Any string. When it changes, all tags are put again, for example
            after one was moved by hand. Default: none; the image is applied
            when its declaration changes.
        provider: The provider whose function publishes the image. Default: the
            provider of the stack; see ``PublicImageProvider``.

    Raises:
        ValueError: A value is malformed, another ``PublicImage`` of the app
            already declares one of the tags, or the stack is in a partition
            without ECR Public.
    """

    def __init__(  # noqa: PLR0913 - keyword-only options
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
        rules: Sequence[IReleaseRule] = (),
        sign_with: ISigning | None = None,
        on_tag_removed: OnTagRemoved = OnTagRemoved.KEEP,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
        include_referrers: bool = False,
        refresh: str | None = None,
        provider: PublicImageProvider | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        check_partition(placed(self, scope))
        check_kinds(path := path_of(self), repository, source)
        check_tags(path, tags)
        check_options(
            path, expected_digest, platforms=platforms, required_platforms=required_platforms,
            immutable_tags=immutable_tags, on_tag_removed=on_tag_removed, removal_policy=removal_policy,
            include_referrers=include_referrers, refresh=refresh,
        )  # fmt: skip
        reject_duplicate_tags(self, key := repository_key(self, repository), tags)
        stays = removal_policy is RemovalPolicy.RETAIN
        warn_of_failures(self, repository, tags, platforms=[*platforms, *required_platforms], stays=stays)
        self._repository, self._tags = repository, tags
        self._provider = self._provider_or_default(provider)
        self._removes = on_tag_removed is OnTagRemoved.UNTAG or removal_policy is RemovalPolicy.DESTROY
        self._has_record = False
        binding = self._bind(source, pinning := Pinning(self, repository))
        self._check_digest(expected_digest, binding, is_whole=not platforms)
        pinning.warn_of(binding.mutable_tags)
        properties = {
            Property.REGISTRY_ID: repository.registry_id,
            Property.REPOSITORY_NAME: repository.repository_name,
            Property.IMAGE_TAGS: tags if isinstance(tags, list) else list(tags),
            # A reduced index has another digest than the source.
            Property.IMAGE_DIGEST: expected_digest or (None if platforms else binding.image_digest),
            Property.SOURCE: binding.properties,
            Property.PLATFORMS: list(platforms),
            **bind_rules(rules, self, self._provider, binding, required_platforms, immutable_tags),
            Property.SIGN_WITH: None if sign_with is None else self._bind_signing(sign_with),
            Property.INCLUDE_REFERRERS: True if include_referrers else None,
            Property.ON_TAG_REMOVED: None if on_tag_removed is OnTagRemoved.KEEP else on_tag_removed.value,
            Property.ON_DELETE: "Delete" if removal_policy is RemovalPolicy.DESTROY else None,
            Property.REFRESH: refresh,
        }
        self._resource = self._declare(encode(properties), binding)
        node_of(self).default_child = node_of(self._resource).default_child
        self._keep_permissions(key)
        if binding.mutable_tags and expected_digest is None:
            self.remember()
        RepositoryImages.of(self, key).add(self, removes=self._removes)

    def remember(self) -> None:
        """
        Make the function always keep a record of this image.

        This happens automatically where it is needed: for a mutable source, whose
        digest a rollback has to restore, and in a repository from which something
        may be removed.
        """
        resource = node_of(self._resource).default_child
        if self._has_record or not isinstance(resource, CfnResource):
            return
        self._has_record = True
        stack = stack_of(self)
        name = parameter_name(self._repository, stack, resource.logical_id)
        resource.add_property_override(Property.STATE_PARAMETER_NAME.value, name)

    @property
    def repository(self) -> IPublicRepository:
        """The repository that the image is published to."""
        return self._repository

    @property
    def image_digest(self) -> str:
        """The digest of the image, ``sha256:…``; known after it is published."""
        return self._resource.get_att_string("ImageDigest")

    @property
    def image_manifest_media_type(self) -> str:
        """The media type of the manifest, which distinguishes an index from an image."""
        return self._resource.get_att_string("ImageManifestMediaType")

    @property
    def image_uri(self) -> str:
        """The URI of the image by digest: ``public.ecr.aws/<alias>/<name>@sha256:…``."""
        return self._resource.get_att_string("ImageUri")

    @property
    def skipped_tags(self) -> str:
        """The declared tags that a rule has left where they are, separated by commas; known after the release."""
        return self._resource.get_att_string("SkippedTags")

    @property
    def registry_id(self) -> str:
        """The account id of the registry that the image was published to."""
        return self._resource.get_att_string("RegistryId")

    @property
    def repository_name(self) -> str:
        """The name of the repository, without host and alias."""
        return self._resource.get_att_string("RepositoryName")

    @property
    def repository_uri(self) -> str:
        """The URI of the repository: ``public.ecr.aws/<alias>/<name>``."""
        return self._resource.get_att_string("RepositoryUri")

    def image_uri_for_tag(self, tag: str) -> str:
        """
        Return the URI of the image by a tag: ``public.ecr.aws/<alias>/<name>:<tag>``.

        A resource that uses this URI depends on the image.

        Raises:
            ValueError: The tag is malformed.
        """
        check(f"{path_of(self)}: image_uri_for_tag", tag, parse_tag)
        warn_of_undeclared_tag(self, tag, self._tags)
        return Fn.join(":", [self.repository_uri, tag])

    def _bind(self, source: IImageSource, pinning: Pinning) -> SourceBinding:
        binding = source.bind(self, self._provider)
        if not isinstance(binding, SourceBinding):
            refuse_kind(f"{path_of(self)}: source", binding, "a SourceBinding from its bind()")
        return pinning.apply(binding)

    def _bind_signing(self, signing: ISigning) -> Mapping[str, object]:
        check_kind(f"{path_of(self)}: sign_with", signing, "bind", "a Signing, e.g. Signing.kms(key)")
        return signing.bind(self._provider, self._repository)

    def _declare(self, properties: Mapping[str, object], binding: SourceBinding) -> CustomResource:
        self._provider.allow_publishing(self._repository, copies=binding.copies, needs_layers=binding.needs_layers)
        resource = CustomResource(
            self,
            "Resource",
            resource_type=RESOURCE_TYPE,
            service_token=self._provider.service_token,
            service_timeout=COPY_SERVICE_TIMEOUT if binding.copies else SERVICE_TIMEOUT,
            properties=properties,
        )
        ExportWarnings.of(self).watch(self, resource)
        return resource

    def _keep_permissions(self, key: tuple[str, ...]) -> None:
        """Let the function clean up until the resource is deleted or replaced."""
        node_of(self._resource).add_dependency(self._provider.invocations)
        self._provider.keep_for_undo(self._resource, self._repository, key, removes=self._removes)

    def _provider_or_default(self, provider: PublicImageProvider | None) -> PublicImageProvider:
        if provider is None:
            return PublicImageProvider.of(self)
        if not isinstance(provider, PublicImageProvider):
            refuse_kind(f"{path_of(self)}: provider", provider, "a PublicImageProvider of this stack")
        if stack_of(provider) is not stack_of(self):
            refuse(
                f"{path_of(self)}: provider",
                f"{path_of(provider)!r} is in another stack; create a PublicImageProvider in "
                f"stack {stack_of(self).stack_name!r}",
            )
        return provider

    def _check_digest(self, expected: str | None, binding: SourceBinding, *, is_whole: bool) -> None:
        if not is_whole:
            check_whole(f"{path_of(self)}: platforms", binding)
            return
        found = binding.image_digest or binding.properties.get("Digest")
        is_clear = bool(expected and found) and is_known(expected) and is_known(found)
        if is_clear and expected != found:
            refuse(
                f"{path_of(self)}: expected_digest",
                f"{expected!r} is not the digest of the source, which is {found!r}",
            )

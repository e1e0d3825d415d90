"""All images of one reviewed file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from aws_cdk import Annotations, NestedStack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from .._assets.lambda_handler.oci import Digest, PrivateEcr, Reference, RegistryHost, is_account_id, parse_registry_id
from ..constructs._signature import shows_parameters
from ..constructs._sources.base import IImageSource
from ..constructs._validation.values import (
    check,
    check_instance,
    check_number,
    check_path,
    check_secrets,
    check_text,
    check_texts,
    is_known,
    refuse,
)
from ..constructs.image_source import ImageSource
from ..constructs.provider import PublicImageProvider, provider_of
from ..constructs.public_image import PublicImage
from ..constructs.public_repository import IPublicRepository, PublicRepository
from . import capacity
from .model import Catalog, Image, ImageSettings, ManifestFile, Repository, Source, private_ecr
from .release_rules import rules_of, signing_of
from .selection import parse_pattern

_SHOWN_NAMES = 20


@shows_parameters
class PublicImageCatalog(Construct):
    """
    All images of one reviewed file; create it with ``from_file``.

    The order of the file does not matter, except for the tags of an image,
    which are put in that order. Removing an image or tag from the file does
    not remove it from the registry; declare a ``PublicImage`` for images that
    may be removed.

    ```python
    catalog = PublicImageCatalog.from_file(self, "Catalog", "images.yaml")
    latest = catalog.image("acme/agent", "latest")
    ```

    Args:
        catalog: The content of the file.
        registry_id: See ``from_file``, as for all other arguments.

    Raises:
        ValueError: See ``from_file``.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        catalog: Catalog,
        registry_id: str | None = None,
        credentials: Mapping[str, secretsmanager.ISecret | secretsmanager.Secret] | None = None,
        make_provider: Callable[[Construct], PublicImageProvider] | None = None,
        stacks: int | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        check_instance(f"{self.node.path}: catalog", catalog, Catalog, "the result of PublicImageCatalog.from_file")
        credentials = {} if credentials is None else credentials
        self._check(registry_id, credentials, stacks)
        spread = capacity.Spread(catalog.repositories)
        if excess := spread.excess(stacks):
            refuse(self.node.path, excess)
        self._places = spread.places(stacks or 1) or {}
        self._registry, self._registry_id = catalog.registry, registry_id
        self._credentials = {RegistryHost.parse(host): secret for host, secret in credentials.items()}
        self._warn_of_unused(catalog)
        self._make_provider = make_provider
        self._number_of_stacks = stacks
        self._providers: dict[str, PublicImageProvider] = {}
        self._nested: dict[int, NestedStack] = {}
        self._groups: dict[tuple[str, str], tuple[Construct, IPublicRepository]] = {}
        self._repositories: dict[str, IPublicRepository] = {}
        self._images: list[PublicImage] = []
        self._known: dict[str, dict[str, PublicImage]] = {}
        for repository in sorted(catalog.repositories, key=lambda each: each.name):
            self._declare(repository)

    @staticmethod
    def from_file(
        scope: Construct,
        construct_id: str,
        path: str | Path,
        *,
        registries: str | Path | None = None,
        source: str | None = None,
        destination: str | None = None,
        registry_id: str | None = None,
        defaults: ImageSettings | None = None,
        credentials: Mapping[str, secretsmanager.ISecret | secretsmanager.Secret] | None = None,
        make_provider: Callable[[Construct], PublicImageProvider] | None = None,
        stacks: int | None = None,
        only: Sequence[str] | None = None,
    ) -> PublicImageCatalog:
        """
        Declare all images of a YAML file.

        Args:
            scope: Where the images belong.
            construct_id: Its id there; part of the id of each image.
            path: Relative to the working directory, at most 16 MiB. Either in
                our own format, with ``repositories``; or in the format of the
                Kubernetes image promoter, with ``registries`` and ``images``;
                or a list of the promoter's images, which may be empty.
            registries: For a list of images: the promoter's file with the
                ``registries``.
            source: For a list of images: the registry to copy the images from,
                ``<host>[/<path>]``. Default: the images are in their
                destination already, and are only tagged.
            destination: For a list of images: the registry to publish to,
                ``public.ecr.aws/<alias>[/<prefix>]``. Also required for a file
                with several destinations, or none in ECR Public.
            registry_id: The account id of the destination, if it is another
                account than that of the stack; the policies of its
                repositories must allow putting images. An alias overrides the
                one in the file. Default: the account of the stack, which must
                have the alias in the file, if there is one.
            defaults: The settings of images for which the file has none.
                Default: those of ``PublicImage``.
            credentials: Secrets by host, as for ``ImageSource.registry``:
                ``{"ghcr.io": secret}``. There is a warning for hosts that no
                image of the file is read from. Default: anonymous access.
            make_provider: Creates the function of each stack, e.g. ``lambda
                scope: PublicImageProvider(scope, "Provider", memory_size=1024)``.
                Default: the provider of the stack, or one with default options.
            stacks: The number of nested stacks, from 1 to 100, over which the
                images are distributed; the images of a repository stay
                together if there is room. If it changes, some resources move
                to another stack, which does not affect their images.
                Default: no nested stacks.
            only: The part of the file to use: ``<name>`` or ``<name>:<tag>``
                as in the file, with ``*`` and ``?``. If a pattern has a tag,
                the image is published with matching tags only. Problems in
                the rest of the file are ignored. Default: everything.

        Raises:
            CatalogError: Has all problems of the file. It is a ValueError.
            ValueError: The images do not fit into the stacks, or
                ``PublicImage`` refuses one of them.
            ModuleNotFoundError: PyYAML is not installed.
        """
        try:
            from .reader import Arguments, read_catalog  # noqa: PLC0415 - PyYAML is an optional dependency
        except ModuleNotFoundError as error:
            message = f'{error.name} is not installed, but catalogs need it; run: pip install "cdk-ecrpublic[catalog]"'
            raise ModuleNotFoundError(message, name=error.name) from error
        what = f"{scope.node.path}/{construct_id}"
        _check_arguments(what, path, registries, {"source": source, "destination": destination})
        if only is not None:
            _check_patterns(f"{what}: only", only)
        defaults = ImageSettings() if defaults is None else defaults
        check_instance(f"{what}: defaults", defaults, ImageSettings, "ImageSettings(include_referrers=True), e.g.")
        arguments = Arguments(
            registries=None if registries is None else Path(registries),
            source=source,
            destination=destination,
            defaults=defaults,
            only=tuple(only or ()),
        )
        return PublicImageCatalog(
            scope,
            construct_id,
            catalog=read_catalog(Path(path), arguments),
            registry_id=registry_id,
            credentials=credentials,
            make_provider=make_provider,
            stacks=stacks,
        )

    @property
    def images(self) -> tuple[PublicImage, ...]:
        """All images, ordered by repository and id."""
        return tuple(self._images)

    @property
    def repositories(self) -> Mapping[str, IPublicRepository]:
        """The repositories by name, without registry host and alias."""
        return dict(self._repositories)

    @property
    def stacks(self) -> tuple[NestedStack, ...]:
        """The nested stacks that have images."""
        return tuple(self._nested[number] for number in sorted(self._nested))

    def image(self, repository_name: str, name: str) -> PublicImage:
        """
        Return an image of the file.

        Args:
            repository_name: Without registry host and alias: ``acme/agent``.
            name: One of its tags, its digest, or its ``id``.

        Raises:
            ValueError: There is no such image; the message lists the images.
        """
        check_text(f"{self.node.path}: repository_name", repository_name)
        check_text(f"{self.node.path}: name", name)
        for what, found, among in (
            ("repository", repository_name, self._known),
            (f"image of {repository_name!r}", name, self._known.get(repository_name, {})),
        ):
            if found not in among:
                some = [*among][:_SHOWN_NAMES]
                more = ", …" if len(among) > len(some) else ""
                refuse(self.node.path, f"there is no {what} {found!r}; there are: {', '.join(some) or 'none'}{more}")
        return self._known[repository_name][name]

    def _declare(self, repository: Repository) -> None:
        known = self._known.setdefault(repository.name, {})
        for image in sorted(repository.images, key=lambda each: each.key):
            part = self._part(self._places[repository.name, image.key])
            group, imported = self._group(part, repository.name)
            declared = self._image(part, group, imported, image)
            self._images.append(declared)
            for name in (image.key, *(tag.text for tag in image.tags), str(image.digest)):
                known.setdefault(name, declared)
        if not repository.images:
            # Not in a nested stack, because a stack must not be empty.
            self._group(self, repository.name)

    def _group(self, part: Construct, repository_name: str) -> tuple[Construct, IPublicRepository]:
        """Return the scope for the images of a repository in a stack, and the imported repository."""
        key = (part.node.path, repository_name)
        if key not in self._groups:
            # Repository names cannot contain two consecutive dashes, so these ids are unique.
            group = Construct(part, repository_name.replace("/", "--"))
            self._groups[key] = group, self._import(group, repository_name)
            self._repositories.setdefault(repository_name, self._groups[key][1])
        return self._groups[key]

    def _image(self, part: Construct, group: Construct, repository: IPublicRepository, image: Image) -> PublicImage:
        return PublicImage(
            group,
            image.key,
            repository=repository,
            source=self._source(part, image.source),
            tags=[tag.text for tag in image.tags],
            expected_digest=str(image.expected_digest) if image.expected_digest else None,
            provider=self._provider(part),
            **self._options(f"{group.node.path}/{image.key}", image.settings),
        )

    @staticmethod
    def _options(path: str, settings: ImageSettings) -> dict[str, Any]:
        options = {each.name: getattr(settings, each.name) for each in fields(settings)}
        rules, signing = rules_of(f"{path}: rules", settings), signing_of(f"{path}: sign_with", settings.sign_with)
        return {**options, "rules": rules, "sign_with": signing}

    def _part(self, number: int) -> Construct:
        """Return the scope for images: a nested stack, or the catalog itself."""
        if self._number_of_stacks is None:
            return self
        if number not in self._nested:
            self._nested[number] = NestedStack(self, f"Part{number}")
        return self._nested[number]

    def _provider(self, part: Construct) -> PublicImageProvider:
        if part.node.path not in self._providers:
            what = f"{self.node.path}: make_provider"
            self._providers[part.node.path] = provider_of(what, self._make_provider, part)
        return self._providers[part.node.path]

    def _import(self, group: Construct, name: str) -> IPublicRepository:
        account = self._registry_id if self._registry_id and is_account_id(self._registry_id) else None
        alias = self._registry if self._registry and not is_account_id(self._registry) else None
        # No image has this id, because keys do not start with "@".
        construct_id = "@Repository"
        if account and alias:
            arn = f"arn:aws:ecr-public::{account}:repository/{name}"
            return PublicRepository.from_repository_arn(group, construct_id, arn, registry_alias=alias)
        registry_id = self._registry_id or self._registry
        return PublicRepository.from_repository_name(group, construct_id, name, registry_id=registry_id)

    def _source(self, part: Construct, source: Source) -> IImageSource:
        if isinstance(source, Digest):
            return ImageSource.digest(str(source))
        if isinstance(source, ManifestFile):
            return ImageSource.manifest_file(source.path)
        host = source.repository.host
        if host.is_ecr_public:
            return ImageSource.public(str(source.repository), digest=str(source.digest))
        private = private_ecr(source)
        if private:
            return ImageSource.ecr(_private(part, private, source), digest=str(source.digest))
        return ImageSource.registry(str(source), credentials=self._credentials.get(host))

    def _check(
        self,
        registry_id: str | None,
        credentials: Mapping[str, secretsmanager.ISecret | secretsmanager.Secret],
        stacks: int | None,
    ) -> None:
        path = self.node.path
        if registry_id is not None:
            check(f"{path}: registry_id", registry_id, parse_registry_id)
            if not is_known(registry_id):
                refuse(f"{path}: registry_id", "must be known at synthesis; use an account id of 12 digits")
        check_secrets(f"{path}: credentials", credentials, RegistryHost.parse)
        if stacks is not None:
            check_number(f"{path}: stacks", stacks, range(1, capacity.STACKS_MAX + 1))
            if not isinstance(stacks, int):
                refuse(f"{path}: stacks", "must be known at synthesis")

    def _warn_of_unused(self, catalog: Catalog) -> None:
        """Warn of unused credentials: a typo, or several catalogs share the same credentials."""
        images = [image for repository in catalog.repositories for image in repository.images]
        used = {_host_with_credentials(image.source) for image in images} - {None}
        if unused := ", ".join(sorted(map(str, self._credentials.keys() - used))):
            hosts = ", ".join(sorted(map(str, used))) or "none"
            Annotations.of(self).add_warning_v2(
                "@cdk-ecrpublic:unusedCredentials",
                f"credentials for {unused} are not used; hosts that may need credentials: {hosts}",
            )


def _check_arguments(what: str, path: object, registries: object, strings: Mapping[str, object]) -> None:
    check_path(f"{what}: path", path)
    if registries is not None:
        check_path(f"{what}: registries", registries)
    for name, text in strings.items():
        if text is not None:
            check_text(f"{what}: {name}", text)


def _check_patterns(what: str, patterns: Sequence[str]) -> None:
    check_texts(what, patterns, "patterns, e.g. ['agent', 'tools/*', 'web:1.*']", parse_pattern)
    if not (is_known(patterns) and all(map(is_known, patterns))):
        refuse(what, "must be known at synthesis")
    if not patterns:
        refuse(what, "is empty, which selects nothing; add a pattern, or omit it")


def _host_with_credentials(source: Source) -> RegistryHost | None:
    """Return the host of a source that may have a secret; ECR uses the credentials of the role."""
    if not isinstance(source, Reference):
        return None
    host = source.repository.host
    return None if host.is_ecr_public or private_ecr(source) else host


def _private(part: Construct, registry: PrivateEcr, source: Reference) -> ecr.IRepository:
    """Import a repository of private ECR, once for each stack."""
    name = source.repository.path
    construct_id = f"@{source.repository.host}--{name.replace('/', '--')}"
    found = part.node.try_find_child(construct_id)
    if isinstance(found, ecr.RepositoryBase):
        return found
    arn = f"arn:aws:ecr:{registry.region}:{registry.account}:repository/{name}"
    return ecr.Repository.from_repository_attributes(part, construct_id, repository_arn=arn, repository_name=name)

"""
The store behind both APIs: registries, repositories, and the folder of the layers.

The rules for images are in ``images``, those for layers in ``layers``. Every change
must hold ``Store.lock``, because CloudFormation works in separate threads.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cdk_ecrpublic._assets.lambda_handler.oci import is_account_id

from .. import errors
from ..settings import DEFAULT_ACCOUNT, Settings
from . import policy
from .state import Registry, Repository, default_alias

REPOSITORY_TAGS_MAX = 50
"""Reference: ECR Public API reference, TagResource."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """
    The caller, and the registry that the request names.

    Attributes:
        account: The caller's account.
        registry: An account id or alias; empty for the caller's own registry.
    """

    account: str
    registry: str = ""

    @property
    def named(self) -> str:
        """The name of the registry in errors, which is that in the request."""
        return self.registry or self.account


@dataclass(slots=True)
class Store:
    """
    All registries of all accounts.

    Attributes:
        settings: Returns the current settings, which may be replaced at any time.
        default_account: The account whose registry has ``Settings.alias``.
    """

    settings: Callable[[], Settings]
    default_account: str = DEFAULT_ACCOUNT
    clock: Callable[[], float] = time.time
    lock: threading.RLock = field(default_factory=threading.RLock)
    registries: dict[str, Registry] = field(default_factory=dict)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="cdk-ecrpublic-sandbox-")))

    def close(self) -> None:
        """Delete everything, including the folder."""
        self.registries.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def clear(self) -> None:
        """Delete everything except the folder itself."""
        with self.lock:
            self.registries.clear()
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)

    def registry_of(self, account: str) -> Registry:
        """Return the registry of an account; every account has one."""
        registry = self.registries.setdefault(account, Registry(account=account))
        registry.custom_alias = self.settings().alias if account == self.default_account else ""
        return registry

    def registry_by_alias(self, alias: str) -> Registry | None:
        """Return the registry with this alias."""
        found = (self.registry_of(account) for account in [*self.registries, self.default_account])
        return next((registry for registry in found if alias in registry.aliases), None)

    def registry(self, caller: Caller) -> Registry:
        """
        Return the registry that the request names.

        Raises:
            ServiceError: No registry has this id or alias.
        """
        if caller.named == caller.account or caller.registry in self.registries:
            return self.registry_of(caller.named)
        registry = None if is_account_id(caller.registry) else self.registry_by_alias(caller.registry)
        if registry is None:
            raise errors.REGISTRY_NOT_FOUND.error(registry=caller.registry)
        return registry

    def repository(self, caller: Caller, name: str, action: str = "") -> Repository:
        """
        Return a repository.

        Args:
            action: The action, which the owner and the repository policy may allow.
                Empty for actions of the owner only; then a repository of another
                account is not found.

        Raises:
            ServiceError: It does not exist, or the caller is not allowed.
        """
        registry = self.registry(caller)
        repository = registry.repositories.get(name)
        is_owner = registry.account == caller.account
        if repository is None or not (is_owner or action):
            raise errors.REPOSITORY_NOT_FOUND.error(name=name, registry=caller.named)
        if not is_owner and not policy.allows(repository.policy, caller.account, action):
            raise errors.ACCESS_DENIED.error(account=caller.account, operation=action, resource=repository.arn)
        return repository

    def create_repository(
        self,
        account: str,
        name: str,
        *,
        catalog_data: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Repository:
        """
        Create a repository. The first one creates the default alias of the registry.

        Raises:
            ServiceError: It already exists, or the tags are not allowed.
        """
        registry = self.registry_of(account)
        if name in registry.repositories:
            raise errors.REPOSITORY_EXISTS.error(name=name, registry=account)
        repository = Repository(account=account, name=name, created_at=self.clock(), catalog_data=catalog_data)
        self.tag_repository(repository, tags or {})
        registry.default_alias = registry.default_alias or default_alias(account)
        registry.repositories[name] = repository
        return repository

    def delete_repository(self, caller: Caller, name: str, *, force: bool) -> Repository:
        """
        Delete a repository. If it has images, ``force`` is required.

        Raises:
            ServiceError: It does not exist, or is not empty.
        """
        repository = self.repository(caller, name)
        if any(repository.all_images()) and not force:
            raise errors.REPOSITORY_NOT_EMPTY.error(name=name, registry=caller.named)
        for upload in repository.uploads.values():
            upload.path.unlink(missing_ok=True)
        return self.registry_of(repository.account).repositories.pop(name)

    def tag_repository(self, repository: Repository, tags: Mapping[str, str]) -> None:
        """
        Add resource tags.

        Raises:
            ServiceError: A key is reserved, or there are more than 50 tags.
        """
        if reserved := [key for key in tags if key.lower().startswith("aws:")]:
            raise errors.INVALID_TAG.error(reason=f"tag keys beginning with aws: are reserved: {', '.join(reserved)}")
        together = {**repository.resource_tags, **tags}
        if len(together) > REPOSITORY_TAGS_MAX:
            raise errors.TOO_MANY_TAGS.error(limit=REPOSITORY_TAGS_MAX)
        repository.resource_tags = together

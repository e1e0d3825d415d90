"""The parts of one sandbox, which both APIs use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from . import errors
from .authorization import Authorize, AuthorizeLogin, allow_every_login, allow_everybody
from .faults import Faults
from .front.connections import Connections
from .journal import Journal
from .rates import Rates
from .scans import Scans
from .settings import DEFAULT_ACCOUNT, Settings
from .store.registries import Store
from .tokens import Grant, Tokens
from .trail import Emit, emit_nothing


@dataclass(slots=True, kw_only=True)
class World:
    """
    One sandbox.

    Attributes:
        port: The port on 127.0.0.1.
        account: The default account, for credentials without an account.
        account_of: Returns the account of an access key.
        authorize: Authorizes calls of the control-plane API.
        authorize_login: Authorizes requests with a password instead of a signature.
        private_repository: Returns the account and Region of a repository in
            private ECR; None if it does not exist.
        is_private_login: Returns whether private ECR knows these credentials
            (``user:password`` in base64).
        emit: Emits the event of a call that changes images, or was refused.
    """

    port: int
    account: str = DEFAULT_ACCOUNT
    settings: Settings = field(default_factory=Settings)
    faults: Faults = field(default_factory=Faults)
    requests: Journal = field(default_factory=Journal)
    scans: Scans = field(default_factory=Scans)
    connections: Connections = field(default_factory=Connections)
    account_of: Callable[[str], str | None] = lambda _key: None
    authorize: Authorize = allow_everybody
    authorize_login: AuthorizeLogin = allow_every_login
    private_repository: Callable[[str], tuple[str, str] | None] = lambda _name: None
    is_private_login: Callable[[str], bool] = lambda _encoded: False
    emit: Emit = emit_nothing
    store: Store = field(init=False)
    tokens: Tokens = field(init=False)
    rates: Rates = field(init=False)

    def __post_init__(self) -> None:
        self.store = Store(self.current_settings, default_account=self.account)
        self.tokens = Tokens(self.current_settings, self.store.clock)
        self.rates = Rates()

    @property
    def registry_host(self) -> str:
        """The registry host in image references."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The URL of everything except layers."""
        return f"http://{self.registry_host}"

    @property
    def blob_url(self) -> str:
        """The URL for downloading layers: the same socket, but another host for every client."""
        return f"http://localhost:{self.port}/_blob"

    def current_settings(self) -> Settings:
        """Return the current settings."""
        return self.settings

    def grant_of_basic(self, encoded: str) -> Grant | None:
        """
        Return the owner of a login.

        Returns:
            None for a login of private ECR. It gives no access here, but a client
            sends one login to both registries, because they have the same host.

        Raises:
            ServiceError: It is a login of neither registry.
        """
        return None if self.is_private_login(encoded) else self.tokens.grant_of_basic(encoded)

    def count(self, operation: str) -> None:
        """
        Count a call, or the equivalent request of the registry API, against its limit.

        Raises:
            ServiceError: The limit is exceeded.
        """
        if not self.rates.allows(operation, self.settings.limit_of(operation)):
            raise errors.THROTTLED.error()

    def reset(self) -> None:
        """Reset everything except the URL and the keys that sign tokens."""
        self.store.clear()
        self.faults.clear()
        self.requests.clear()
        self.scans.clear()
        self.rates = Rates()
        self.settings = Settings()

"""Everything that one sandbox is made of, in one place that both faces are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from . import errors
from .authorization import Authorize, AuthorizeLogin, allow_every_login, allow_everybody
from .faults import Faults
from .front.connections import Connections
from .journal import Journal
from .rates import Rates
from .settings import DEFAULT_ACCOUNT, Settings
from .store.registries import Store
from .tokens import Grant, Tokens


@dataclass(slots=True, kw_only=True)
class World:
    """
    One sandbox.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        account: What credentials without an account of their own belong to.
        account_of: Finds the account of an access key.
        authorize: Decides about calls of the API.
        authorize_login: Decides about requests with a password instead of a signature.
        private_repository: Returns account and Region of a repository of this
            name in private ECR, behind us; None when there is none.
        is_private_login: Tells whether private ECR knows these credentials
            (``user:password`` in base64).
    """

    port: int
    account: str = DEFAULT_ACCOUNT
    settings: Settings = field(default_factory=Settings)
    faults: Faults = field(default_factory=Faults)
    requests: Journal = field(default_factory=Journal)
    connections: Connections = field(default_factory=Connections)
    account_of: Callable[[str], str | None] = lambda _key: None
    authorize: Authorize = allow_everybody
    authorize_login: AuthorizeLogin = allow_every_login
    private_repository: Callable[[str], tuple[str, str] | None] = lambda _name: None
    is_private_login: Callable[[str], bool] = lambda _encoded: False
    store: Store = field(init=False)
    tokens: Tokens = field(init=False)
    rates: Rates = field(init=False)

    def __post_init__(self) -> None:
        self.store = Store(self.current_settings, default_account=self.account)
        self.tokens = Tokens(self.current_settings, self.store.clock)
        self.rates = Rates()

    @property
    def registry_host(self) -> str:
        """What stands before the alias in image names."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The address of everything but layers."""
        return f"http://{self.registry_host}"

    @property
    def blob_url(self) -> str:
        """Where layers are downloaded: the same socket, but another host to every client."""
        return f"http://localhost:{self.port}/_blob"

    def current_settings(self) -> Settings:
        """Return the settings as they are now."""
        return self.settings

    def grant_of_basic(self, encoded: str) -> Grant | None:
        """
        Return whose login it is.

        Returns:
            None for one of private ECR: it opens nothing here, but a client
            keeps one login for both, since they are the same host to it.

        Raises:
            ServiceError: Neither one of ours nor one of private ECR.
        """
        return None if self.is_private_login(encoded) else self.tokens.grant_of_basic(encoded)

    def count(self, operation: str) -> None:
        """
        Count a call of the API, or a request over HTTP that stands for one, against its limit.

        Raises:
            ServiceError: Too many.
        """
        if not self.rates.allows(operation, self.settings.limit_of(operation)):
            raise errors.THROTTLED.error()

    def reset(self) -> None:
        """Forget everything but the address and the keys that tokens are signed with."""
        self.store.clear()
        self.faults.clear()
        self.requests.clear()
        self.rates = Rates()
        self.settings = Settings()

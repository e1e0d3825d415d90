"""One run on one endpoint: its names, its logins, and what it has created."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .budget import Budget
from .endpoint import Endpoint
from .errors import LiveCheckError
from .guard import Guard, expiry_tags
from .parameters import Parameters
from .private_ecr import PrivateEcr
from .stacks import Stacks
from .trace import Trace
from .transport import PAUSES_SECONDS, SERVER_ERROR, THROTTLED, Response, Transport


@dataclass(slots=True)
class Session:
    """
    What the cases of one run share.

    Attributes:
        transport: Sends the requests.
        repositories: The names of repositories that exist.
        throttled: The number of requests that were throttled, and sent again.
        has_created: Whether a repository was ever created.
        stacks: The stacks of the run.
        parameters: Its parameters in Systems Manager.
        private: Its repositories in private ECR.
    """

    transport: Transport
    repositories: list[str] = field(default_factory=list)
    throttled: int = 0
    has_created: bool = False
    stacks: Stacks = field(init=False, repr=False)
    parameters: Parameters = field(init=False, repr=False)
    private: PrivateEcr = field(init=False, repr=False)
    _logins: dict[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.stacks, self.parameters, self.private = Stacks(self), Parameters(self), PrivateEcr(self)

    @classmethod
    def begin(cls, endpoint: Endpoint, budget: Budget) -> Session:
        """Begin a run with a random name."""
        guard = Guard(run=secrets.token_hex(5), account=endpoint.account, hosts=endpoint.hosts)
        trace = Trace(replaced={endpoint.account: "<account>"}, secrets=set(endpoint.secrets))
        return cls(Transport(endpoint=endpoint, guard=guard, budget=budget, trace=trace))

    @property
    def endpoint(self) -> Endpoint:
        """Where the requests go."""
        return self.transport.endpoint

    @property
    def guard(self) -> Guard:
        """What belongs to the run."""
        return self.transport.guard

    def patiently(self, send: Callable[[], Response]) -> Response:
        """Send a request again while it is throttled: the answer to the question comes after that."""
        for pause in PAUSES_SECONDS:
            response = send()
            if response.code not in THROTTLED:
                return response
            self.throttled += 1
            self.transport.wait(pause)
        return send()

    def api(self, operation: str, **parameters: Any) -> Any:  # noqa: ANN401 - JSON
        """
        Call an operation that must succeed, and return its result.

        Raises:
            LiveCheckError: It failed.
        """
        response = self.patiently(lambda: self.transport.api(operation, parameters))
        return _successful(operation, response)

    def create_repository(self, name: str) -> str:
        """Create a repository of the run, and return its full name."""
        full = f"{self.guard.prefix}{name}"
        tags = expiry_tags(self.transport.budget.seconds_left)
        # It counts as created until the service says otherwise: a lost response may have created it.
        self.repositories.append(full)
        response = self.patiently(
            lambda: self.transport.api("CreateRepository", {"repositoryName": full, "tags": tags})
        )
        if response.code and response.status < SERVER_ERROR:
            self.repositories.remove(full)
        created = _successful("CreateRepository", response)["repository"]
        self.has_created = True
        alias = created["repositoryUri"].split("/")[1]
        self.guard.alias = alias
        self.learn_alias(alias)
        return full

    def learn_alias(self, alias: str) -> None:
        """Remember an alias of the account, so that it is not published."""
        self.transport.trace.replaced[alias] = "<alias>"

    def aliases(self) -> list[dict[str, Any]]:
        """Return the aliases of the account's registry; none if the account has no registry yet."""
        registries = self.api("DescribeRegistries")["registries"]
        found: list[dict[str, Any]] = [alias for registry in registries for alias in registry.get("aliases", ())]
        for alias in found:
            self.learn_alias(alias["name"])
        return found

    def authorization(self, login: str) -> dict[str, str]:
        """
        Return the header for a kind of login.

        Args:
            login: ``token`` or ``anonymous`` for a token of the registry, ``raw`` for the token of
                GetAuthorizationToken, ``basic`` for its password, ``none``, or the header itself.
        """
        if login == "none":
            return {}
        if login in ("token", "anonymous", "raw", "basic") and login not in self._logins:
            self._logins[login] = self._log_in(login)
        return {"Authorization": self._logins.get(login, login)}

    def _log_in(self, login: str) -> str:
        if login in ("raw", "basic"):
            token = self.api("GetAuthorizationToken")["authorizationData"]["authorizationToken"]
            self.transport.trace.secrets |= {token, *base64.b64decode(token).decode().split(":", 1)[1:]}
            return f"{'Bearer' if login == 'raw' else 'Basic'} {token}"
        header = self.authorization("basic") if login == "token" else {}
        url = f"{self.endpoint.scheme}://{self.endpoint.hosts[0]}/token/"
        response = self.patiently(lambda: self.transport.http("GET", url, header))
        if response.status >= 400:  # noqa: PLR2004 - where errors begin
            message = f"the registry issued no token: {response.status} {response.code} {response.message}"
            raise LiveCheckError(message)
        return f"Bearer {response.data['token']}"

    def forget_logins(self) -> None:
        """Log in again at the next request."""
        self._logins.clear()

    def remove(self, name: str) -> None:
        """Delete a repository of the run with everything in it. It is no error if it does not exist."""
        response = self.patiently(
            lambda: self.transport.api("DeleteRepository", {"repositoryName": name, "force": True})
        )
        if response.code not in ("", "RepositoryNotFoundException"):
            message = f"{name} was not deleted: {response.code}: {response.message}"
            raise LiveCheckError(message)
        self.repositories.remove(name)

    def now(self) -> float:
        """Return the time for measurements."""
        return time.monotonic()


def _successful(operation: str, response: Response) -> Any:  # noqa: ANN401 - JSON
    if response.code:
        message = f"{operation} failed: {response.code}: {response.message}"
        raise LiveCheckError(message)
    return response.data

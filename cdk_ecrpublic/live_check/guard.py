"""Refuses requests that touch anything that the run did not create."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from .errors import NotOwnError
from .normalize import SANDBOX_DOWNLOADS

REGION = "us-east-1"

PREFIX = "cdk-ecrpublic-live-check"
"""The first part of the names of everything that a run creates."""

EXPIRY_TAG = "cdk-ecrpublic-live-check-expires"
"""The tag of repositories and stacks: when ``--sweep`` may remove them."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")

GRACE = timedelta(minutes=40)
"""How long after the last request of its cases something expires: a clean-up may take half an hour."""

RECORDS = "/cdk-ecrpublic/state"
"""Below this path, the function of this project keeps its records."""

_WITHOUT_REPOSITORY = ("DescribeRegistries", "GetAuthorizationToken", "GetRegistryCatalogData")
"""Operations of the account that only read."""

_PRIVATE_READS = ("DescribeRepositories", "GetAuthorizationToken")
"""Operations of private ECR that only read."""

_SAFE_PATHS = ("/v2/", "/v2/_catalog", "/token", "/token/")
_READS = ("GET", "HEAD")


@dataclass(slots=True, kw_only=True)
class Guard:
    """
    What belongs to one run.

    Attributes:
        run: The random name of the run: letters and digits.
        account: The account.
        hosts: The registry hosts.
        alias: The alias of the account's registry, once it is known.
    """

    run: str
    account: str
    hosts: tuple[str, ...]
    alias: str = ""

    @property
    def prefix(self) -> str:
        """The beginning of the names of all repositories of the run."""
        return f"{PREFIX}/{self.run}/"

    @property
    def stack(self) -> str:
        """The beginning of the names of all stacks of the run."""
        return f"{PREFIX}-{self.run}-"

    @property
    def unknown_alias(self) -> str:
        """An alias that no registry has."""
        return f"unknown-{self.run}"

    def check_api(self, operation: str, parameters: Mapping[str, object]) -> None:
        """
        Check a call of ECR Public.

        Raises:
            NotOwnError: It is about a repository of someone else, or about the whole registry.
        """
        names = [parameters.get("repositoryName"), *_strings(parameters.get("repositoryNames"))]
        arn = parameters.get("resourceArn")
        if arn is not None:
            names.append(str(arn).removeprefix(f"arn:aws:ecr-public::{self.account}:repository/"))
        own = [name for name in names if name is not None]
        reads = operation in _WITHOUT_REPOSITORY or operation == "DescribeRepositories"
        if not (own or reads) or not all(str(name).startswith(self.prefix) for name in own):
            message = f"{operation} of {own or 'the whole registry'} was not sent: the run owns {self.prefix}…"
            raise NotOwnError(message)
        if parameters.get("registryId", self.account) not in (self.account, self.alias, self.unknown_alias):
            message = f"{operation} was not sent: its registry is not that of the account"
            raise NotOwnError(message)

    def check_http(self, method: str, url: str, *, has_login: bool) -> None:
        """
        Check a request to the registry API. A download from another host may only be read, without a login.

        Raises:
            NotOwnError: It is about a repository of someone else, or would send a login elsewhere.
        """
        parts = urlsplit(url)
        if has_login and parts.scheme != "https" and parts.hostname not in LOOPBACK:
            is_allowed = False
        elif parts.netloc not in self.hosts:
            is_allowed = method in _READS and not has_login
        elif parts.path in _SAFE_PATHS or parts.path.startswith(SANDBOX_DOWNLOADS):
            is_allowed = method in _READS and ".." not in parts.path
        else:
            own = "|".join(re.escape(name) for name in (self.alias, self.unknown_alias) if name)
            is_own = re.match(f"/v2/(?:{own})/{re.escape(self.prefix)}", parts.path) is not None
            # A server may resolve dots, also encoded ones.
            is_allowed = is_own and ".." not in parts.path and "%" not in parts.path
        if not is_allowed:
            message = f"{method} {parts.netloc}{parts.path} was not sent: the run owns {self.prefix}…"
            raise NotOwnError(message)

    @property
    def parameters(self) -> str:
        """The path of the parameters of the run in Systems Manager."""
        return f"/{PREFIX}/{self.run}"

    def check_other(self, service: str, operation: str, parameters: Mapping[str, object]) -> None:
        """
        Check a call of CloudFormation, CloudTrail, Lambda, private ECR or Systems Manager.

        LookupEvents cannot be restricted to a repository; the transport drops the events of others.

        Raises:
            NotOwnError: It is about a stack, a repository or a parameter of someone else.
        """
        stack = parameters.get("StackName")
        if service == "lambda":
            is_own = str(parameters.get("FunctionName")).startswith(self.stack)
        elif service == "cloudformation":
            is_own = str(stack).startswith(self.stack) if stack is not None else operation == "DescribeStacks"
        elif service == "cloudtrail":
            is_own = operation == "LookupEvents"
        elif service == "ecr":
            is_own = self._owns_private(operation, parameters)
        else:
            is_own = service == "ssm" and self._owns_parameters(operation, parameters)
        if not is_own:
            message = f"{service} {operation} was not sent: the run owns {self.stack}… and {self.parameters}/…"
            raise NotOwnError(message)

    def check_private_http(self, method: str, url: str) -> None:
        """
        Check a request to the registry API of private ECR.

        Raises:
            NotOwnError: It is about a repository of someone else, or another host.
        """
        parts = urlsplit(url)
        # A sandbox serves both registries on one host.
        is_known = parts.netloc in (private_host(self.account), *self.hosts)
        is_own = parts.path.startswith(f"/v2/{self.prefix}") and ".." not in parts.path and "%" not in parts.path
        if not (is_known and is_own):
            message = f"{method} {parts.netloc}{parts.path} was not sent: the run owns {self.prefix}…"
            raise NotOwnError(message)

    def _owns_private(self, operation: str, parameters: Mapping[str, object]) -> bool:
        """Whether a call is about a private repository of the run, or only lists them, or logs in."""
        arn = str(parameters.get("resourceArn", ""))
        name = parameters.get("repositoryName") or arn.removeprefix(f"arn:aws:ecr:{REGION}:{self.account}:repository/")
        is_here = parameters.get("registryId", self.account) == self.account
        return is_here and (str(name).startswith(self.prefix) or (not name and operation in _PRIVATE_READS))

    def _owns_parameters(self, operation: str, parameters: Mapping[str, object]) -> bool:
        """Whether a call reads or deletes parameters of the run, or lists names of parameters of any run."""
        if operation == "DescribeParameters":
            filters = parameters.get("ParameterFilters")
            named = [each for each in filters if each.get("Key") == "Name"] if isinstance(filters, list) else []
            values = [value for each in named for value in _strings(each.get("Values"))]
            return bool(values) and all(value.startswith(parameter_prefixes(self.account)) for value in values)
        path = parameters.get("Path")
        names = [f"{path}/"] if path is not None else _strings(parameters.get("Names"))
        return bool(names) and all(name.startswith(parameter_prefixes(self.account, self.run)) for name in names)


def private_host(account: str) -> str:
    """Return the host of the private registry of an account."""
    return f"{account}.dkr.ecr.{REGION}.amazonaws.com"


def parameter_prefixes(account: str, run: str = "") -> tuple[str, str]:
    """
    Return how the names of the parameters of a run begin, or of all runs.

    The first one is for what custom resources were sent, the second one for the
    records of the function about repositories of the run.
    """
    path, part = (f"{run}/", f"{run}--") if run else ("", "")
    return f"/{PREFIX}/{path}", f"{RECORDS}/{account}/{PREFIX}--{part}"


def run_of_parameter(name: str) -> str:
    """
    Return the run that a parameter belongs to; empty if its name is not that of a run.

    >>> run_of_parameter("/cdk-ecrpublic/state/123456789012/cdk-ecrpublic-live-check--0123456789--case/undo/x")
    '0123456789'
    >>> run_of_parameter("/cdk-ecrpublic-live-check/production/x")
    ''
    """
    return _run_in(name, before=f"(?:{RECORDS}/[0-9]+/{PREFIX}--|/{PREFIX}/)", after="(?:--|/)")


def run_of_repository(name: str) -> str:
    """
    Return the run that has created a repository; empty if none has.

    >>> run_of_repository("cdk-ecrpublic-live-check/0123456789/left")
    '0123456789'
    >>> run_of_repository("cdk-ecrpublic-live-check/agent/1")
    ''
    """
    return _run_in(name, before=f"{PREFIX}/", after="/.")


def run_of_stack(name: str) -> str:
    """
    Return the run that has created a stack; empty if none has.

    >>> run_of_stack("cdk-ecrpublic-live-check-0123456789-probe")
    '0123456789'
    >>> run_of_stack("cdk-ecrpublic-live-check-production")
    ''
    """
    return _run_in(name, before=f"{PREFIX}-", after="-.")


def _run_in(name: str, *, before: str, after: str) -> str:
    """Return the run in a name, between two regular expressions; empty if the name has another form."""
    match = re.match(f"{before}([0-9a-f]{{10}}){after}", name)
    return match[1] if match else ""


def expiry_tags(seconds: float) -> list[dict[str, str]]:
    """Return the tags of something that a run needs for at most *seconds*."""
    expires = datetime.now(UTC) + timedelta(seconds=seconds) + GRACE
    return [{"Key": EXPIRY_TAG, "Value": expires.isoformat(timespec="seconds")}]


def is_expired(tags: Iterable[Mapping[str, str]], now: datetime) -> bool:
    """Return whether the tags say so. What has no such tag, or another value, was not created by a run."""
    values = {tag["Key"]: tag["Value"] for tag in tags}
    try:
        return EXPIRY_TAG in values and datetime.fromisoformat(values[EXPIRY_TAG]) < now
    except (TypeError, ValueError):
        return False


def _strings(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else []

"""
Names: registry hosts, repositories, tags, registry ids.

Hosts are compared as parsed hosts, never by what a text contains.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import InvalidReferenceError, shown
from .digest import Digest
from .host import RegistryHost

TAG_MAX_CHARACTERS = 128
"""The OCI grammar's limit; PutImage would take 300, but no registry client could pull that."""

REPOSITORY_NAME_CHARACTERS = range(2, 206)
"""2 to 205 characters: botocore's ecr-public model, ``RepositoryName``."""

_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_TAG_PATTERN = re.compile(r"[a-zA-Z0-9_*?][a-zA-Z0-9._*?-]{0,127}")
_PATH_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PATH_PART}(?:/{_PATH_PART})*")
_ECR_PUBLIC_NAME = re.compile(r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*")
_ACCOUNT = re.compile(r"[0-9]{12}")
_ALIAS = re.compile(r"[a-z][a-z0-9]+(?:[._-][a-z0-9]+)*")


def parse_tag(text: str) -> str:
    """
    Read a tag.

    Raises:
        InvalidReferenceError: Outside the grammar of OCI's distribution-spec
            v1.1, ``[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}``.
    """
    if not _TAG.fullmatch(text):
        message = (
            f"{shown(text)} is not a tag; allowed are 1 to {TAG_MAX_CHARACTERS} letters, digits, '_', '.' and '-', "
            "not beginning with '.' or '-'"
        )
        raise InvalidReferenceError(message)
    return text


def parse_tag_pattern(text: str) -> str:
    """
    Read a tag, or a pattern of tags with ``*`` (any text) and ``?`` (one character).

    Raises:
        InvalidReferenceError: Nothing that could match a tag.
    """
    if not _TAG_PATTERN.fullmatch(text):
        message = (
            f"{shown(text)} is not a tag or a pattern of tags; allowed are 1 to {TAG_MAX_CHARACTERS} letters, digits, "
            "'_', '.' and '-', with '*' for any text and '?' for one character, e.g. '1.*'"
        )
        raise InvalidReferenceError(message)
    return text


def parse_repository_name(text: str) -> str:
    """
    Read the name of an ECR Public repository, e.g. ``acme/agent``.

    Raises:
        InvalidReferenceError: Outside the grammar of the API's model; or a
            whole address, which the grammar would let pass.
    """
    is_address = text.startswith("public.ecr.aws/")
    if is_address or len(text) not in REPOSITORY_NAME_CHARACTERS or not _ECR_PUBLIC_NAME.fullmatch(text):
        message = (
            f"{shown(text)} is not the name of an ECR Public repository; allowed are 2 to 205 lower-case letters and "
            "digits, with single '.', '_', '-' or '/' between them, e.g. 'acme/agent' (without registry host and alias)"
        )
        raise InvalidReferenceError(message)
    return text


def parse_declared_name(text: str) -> str:
    """
    Read a repository's name where people write it.

    ECR Public's grammar allows dots, so that the address of an image elsewhere
    is a name too. The function goes on taking such names, for whoever has
    deployed one; nobody begins with one on purpose.

    Raises:
        InvalidReferenceError: No name, or the address of another registry.
    """
    host, slash, rest = text.partition("/")
    name, colon, port = host.partition(":")
    registry = RegistryHost(name)
    if slash and registry.is_private_ecr:
        message = (
            f"{shown(text)} is an address in private ECR, not the name of an ECR Public repository; expected a name "
            "such as 'acme/agent': a private image can be the source of a public one"
        )
        raise InvalidReferenceError(message)
    if slash and (registry.is_foreign or (colon and port.isdigit())):
        message = (
            f"{shown(text)} is an address in the registry {shown(host)}, not the name of an ECR Public repository; "
            f"expected a name without a host, e.g. {shown(rest)}"
        )
        raise InvalidReferenceError(message)
    if slash and registry.is_ecr_public:
        message = (
            f"{shown(text)} is an address, not the name of an ECR Public repository; expected the name alone, without "
            "registry host and alias, e.g. 'acme/agent'"
        )
        # What `parse_repository_name` refuses itself keeps its message.
        parse_repository_name(text)
        raise InvalidReferenceError(message)
    return parse_repository_name(text)


def parse_registry_id(text: str) -> str:
    """
    Read a registry id: an account id (12 digits) or a registry alias.

    Raises:
        InvalidReferenceError: Neither of them.
    """
    is_alias = len(text) in range(2, 51) and _ALIAS.fullmatch(text)
    if not _ACCOUNT.fullmatch(text) and not is_alias:
        message = (
            f"{shown(text)} is not a registry; expected an account id of 12 digits or a registry alias such as 'acme'"
        )
        raise InvalidReferenceError(message)
    return text


def is_account_id(text: str) -> bool:
    """Whether a registry id is an account id and not an alias."""
    return bool(_ACCOUNT.fullmatch(text))


@dataclass(frozen=True, slots=True)
class Repository:
    """
    A repository as image references name it: ``public.ecr.aws/acme/agent``.

    For ECR Public the path begins with the registry's alias.
    """

    host: RegistryHost
    path: str

    @classmethod
    def parse(cls, text: str) -> Repository:
        """
        Read ``host/path``, e.g. the API's ``repositoryUri``.

        Raises:
            InvalidReferenceError: No host, or a path outside OCI's grammar.
        """
        host, _, path = text.partition("/")
        if not _PATH.fullmatch(path):
            message = f"{shown(text)} is not a repository; {_remedy(text, path)}"
            raise InvalidReferenceError(message)
        return cls(RegistryHost.parse(host), path)

    @property
    def url(self) -> str:
        """
        The address that its manifests and blobs are below.

        Docker Hub keeps its official images below ``library/``, which people leave out.
        """
        is_official = self.host.is_docker_hub and "/" not in self.path
        return f"{self.host.url}/v2/{'library/' if is_official else ''}{self.path}"

    @property
    def scope(self) -> str:
        """
        What a token for reading it is asked for, where the registry does not say.

        References:
            Distribution's token specification, "Token Scope Documentation". ECR Public's own scope is ``aws``.
        """
        if self.host.is_ecr_public:
            return "aws"
        return f"repository:{self.url.removeprefix(f'{self.host.url}/v2/')}:pull"

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"


@dataclass(frozen=True, slots=True)
class Reference:
    """
    An image in any registry: ``ghcr.io/acme/agent:1.4.2@sha256:…``.

    With a digest, that is what is read; a tag beside it only tells people
    what the digest was.
    """

    repository: Repository
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """
        Read ``host[:port]/repository[:tag][@digest]``.

        The host is never guessed, and neither is a tag: ``nginx`` is refused,
        ``docker.io/library/nginx:1.27`` is not.

        Raises:
            InvalidReferenceError: Any other form, or neither tag nor digest.
            InvalidDigestError: What follows ``@`` is none.
        """
        rest, at, digest = text.partition("@")
        path, slash, last = rest.rpartition("/")
        name, colon, tag = last.partition(":")
        if not path or not (colon or at):
            message = (
                f"{shown(text)} is not an image; expected host/repository with a tag or a digest, "
                "e.g. 'docker.io/library/nginx:1.27'"
            )
            raise InvalidReferenceError(message)
        return cls(
            Repository.parse(f"{path}{slash}{name}"),
            parse_tag(tag) if colon else None,
            Digest.parse(digest) if at else None,
        )

    @classmethod
    def parse_declared(cls, text: str) -> Reference:
        """
        Read a reference where people write it: also refuse what Docker takes for an image of Docker Hub.

        The function goes on taking any host, for whoever has deployed one.

        Raises:
            InvalidReferenceError: Any other form, or what begins with no host.
            InvalidDigestError: What follows ``@`` is none.
        """
        reference = cls.parse(text)
        host = reference.repository.host
        if not host.is_certain:
            name = str(reference.repository)
            message = (
                f"{shown(name)} begins with no registry, since {shown(str(host))} has neither a dot nor a port; write "
                f"the host before it: Docker Hub's is {shown(f'docker.io/{name}')}"
            )
            raise InvalidReferenceError(message)
        return reference

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


def _remedy(text: str, path: str) -> str:
    scheme, is_url, rest = text.partition("://")
    if is_url:
        return f"leave {shown(f'{scheme}://')} out: {shown(rest)}"
    if _PATH.fullmatch(path.lower()):
        return f"what follows the host is written in lower case: {shown(text.lower())}"
    # A tag or a digest behind it is refused here too.
    tagged = "without tag and digest, " if re.search("[:@]", path) else ""
    return f"expected host/path, {tagged}e.g. 'public.ecr.aws/acme/agent'"

"""Image references, repositories, tags and registry ids."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import InvalidReferenceError, truncated_repr
from .digest import Digest
from .host import RegistryHost

TAG_MAX_CHARACTERS = 128
"""The limit of OCI's grammar. PutImage accepts 300, but no client could pull such a tag."""

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
    Parse a tag.

    Raises:
        InvalidReferenceError: *text* does not match the grammar of the OCI
            distribution-spec v1.1, ``[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}``.
    """
    if not _TAG.fullmatch(text):
        message = (
            f"{truncated_repr(text)} is not a tag; expected 1 to {TAG_MAX_CHARACTERS} letters, digits, '_', '.' and "
            "'-', not starting with '.' or '-'"
        )
        raise InvalidReferenceError(message)
    return text


def parse_tag_pattern(text: str) -> str:
    """
    Parse a tag or a tag pattern, in which ``*`` matches any characters and ``?`` matches one.

    Raises:
        InvalidReferenceError: *text* cannot match any tag.
    """
    if not _TAG_PATTERN.fullmatch(text):
        message = (
            f"{truncated_repr(text)} is not a tag or a tag pattern; expected 1 to {TAG_MAX_CHARACTERS} letters, "
            "digits, '_', '.' and '-', where '*' matches any characters and '?' matches one, e.g. '1.*'"
        )
        raise InvalidReferenceError(message)
    return text


def parse_repository_name(text: str) -> str:
    """
    Parse the name of an ECR Public repository, e.g. ``acme/agent``.

    Raises:
        InvalidReferenceError: *text* does not match the grammar of the API, or
            is a repository URI, which that grammar would accept.
    """
    is_address = text.startswith("public.ecr.aws/")
    if is_address or len(text) not in REPOSITORY_NAME_CHARACTERS or not _ECR_PUBLIC_NAME.fullmatch(text):
        message = (
            f"{truncated_repr(text)} is not the name of an ECR Public repository; expected 2 to 205 lower-case letters "
            "and digits, separated by single '.', '_', '-' or '/', e.g. 'acme/agent' (without registry host and alias)"
        )
        raise InvalidReferenceError(message)
    return text


def parse_declared_name(text: str) -> str:
    """
    Parse a repository name that a user declares.

    ECR Public's grammar allows dots, so the address of an image in another
    registry is a valid name. Such a declaration is a mistake and is refused
    here; the function still accepts such names in deployed stacks.

    Raises:
        InvalidReferenceError: *text* is not a name, or is the address of
            another registry.
    """
    host, slash, rest = text.partition("/")
    name, colon, port = host.partition(":")
    registry = RegistryHost(name)
    if slash and registry.is_private_ecr:
        message = (
            f"{truncated_repr(text)} is an address in private ECR, not the name of an ECR Public repository; expected "
            "a name such as 'acme/agent'; use the private image as the source"
        )
        raise InvalidReferenceError(message)
    if slash and (registry.is_foreign or (colon and port.isdigit())):
        message = (
            f"{truncated_repr(text)} is an address in the registry {truncated_repr(host)}, not the name of an ECR "
            f"Public repository; expected a name without a host, e.g. {truncated_repr(rest)}"
        )
        raise InvalidReferenceError(message)
    if slash and registry.is_ecr_public:
        message = (
            f"{truncated_repr(text)} is an address, not the name of an ECR Public repository; expected only the name, "
            "without registry host and alias, e.g. 'acme/agent'"
        )
        # If `parse_repository_name` refuses the address, its message is more precise.
        parse_repository_name(text)
        raise InvalidReferenceError(message)
    return parse_repository_name(text)


def parse_registry_id(text: str) -> str:
    """
    Parse a registry id: an account id (12 digits) or a registry alias.

    Raises:
        InvalidReferenceError: *text* is neither.
    """
    is_alias = len(text) in range(2, 51) and _ALIAS.fullmatch(text)
    if not _ACCOUNT.fullmatch(text) and not is_alias:
        message = (
            f"{truncated_repr(text)} is not a registry; expected an account id of 12 digits, or a registry alias such "
            "as 'acme'"
        )
        raise InvalidReferenceError(message)
    return text


def is_account_id(text: str) -> bool:
    """Whether a registry id is an account id, not an alias."""
    return bool(_ACCOUNT.fullmatch(text))


@dataclass(frozen=True, slots=True)
class Repository:
    """
    A repository address: ``public.ecr.aws/acme/agent``.

    In ECR Public the path starts with the registry alias.
    """

    host: RegistryHost
    path: str

    @classmethod
    def parse(cls, text: str) -> Repository:
        """
        Parse ``host/path``, e.g. the API's ``repositoryUri``.

        Raises:
            InvalidReferenceError: The host is missing, or the path does not
                match OCI's grammar.
        """
        host, _, path = text.partition("/")
        if not _PATH.fullmatch(path):
            message = f"{truncated_repr(text)} is not a repository; {_remedy(text, path)}"
            raise InvalidReferenceError(message)
        return cls(RegistryHost.parse(host), path)

    @property
    def url(self) -> str:
        """
        The base URL of its manifests and blobs.

        Docker Hub stores its official images below ``library/``, which references may omit.
        """
        is_official = self.host.is_docker_hub and "/" not in self.path
        return f"{self.host.url}/v2/{'library/' if is_official else ''}{self.path}"

    @property
    def scope(self) -> str:
        """
        The scope of a token that allows pulling, used if the registry's challenge has none.

        References:
            Distribution token specification, "Token Scope Documentation". ECR Public uses the scope ``aws``.
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

    If there is a digest, the image is read by it, and the tag is only
    information for people.
    """

    repository: Repository
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """
        Parse ``host[:port]/repository[:tag][@digest]``.

        Neither the host nor the tag has a default: ``nginx`` is refused,
        ``docker.io/library/nginx:1.27`` is accepted.

        Raises:
            InvalidReferenceError: *text* has another form, or neither a tag nor a digest.
            InvalidDigestError: The part after ``@`` is not a digest.
        """
        rest, at, digest = text.partition("@")
        path, slash, last = rest.rpartition("/")
        name, colon, tag = last.partition(":")
        if not path or not (colon or at):
            message = (
                f"{truncated_repr(text)} is not an image reference; expected host/repository with a tag or a digest, "
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
        Parse a reference that a user declares.

        References without a host, which Docker resolves to Docker Hub, are
        refused here; the function still accepts them in deployed stacks.

        Raises:
            InvalidReferenceError: *text* has another form, or no host.
            InvalidDigestError: The part after ``@`` is not a digest.
        """
        reference = cls.parse(text)
        host = reference.repository.host
        if not host.is_certain:
            name = str(reference.repository)
            message = (
                f"{truncated_repr(name)} has no registry host: {truncated_repr(str(host))} has neither a dot nor a "
                f"port; for Docker Hub, write {truncated_repr(f'docker.io/{name}')}"
            )
            raise InvalidReferenceError(message)
        return reference

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


def _remedy(text: str, path: str) -> str:
    scheme, is_url, rest = text.partition("://")
    if is_url:
        return f"omit {truncated_repr(f'{scheme}://')}: {truncated_repr(rest)}"
    if _PATH.fullmatch(path.lower()):
        return f"the path must be in lower case: {truncated_repr(text.lower())}"
    # A tag or digest is refused here too.
    tagged = "without tag and digest, " if re.search("[:@]", path) else ""
    return f"expected host/path, {tagged}e.g. 'public.ecr.aws/acme/agent'"

"""
Secrets in AWS Secrets Manager: credentials, and the hosts that may receive them.

Shape:
    ``{"username": "…", "password": "…"}`` or ``{"token": "…"}``. Optional:
    ``"registry": "ghcr.io"``, the only registry that receives them, and
    ``"tokenEndpoint": "https://auth.example.com"``, another host that may
    receive them; both may be lists. Or just a token, without JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..errors import CredentialsError, ImageError, truncated_repr
from ..oci import RegistryHost

OPERATION = "secretsmanager:GetSecretValue"

_KEYS = ("username", "password", "token", "registry", "tokenEndpoint")

_SURROGATE = re.compile("[\ud800-\udfff]")
"""JSON can escape a lone surrogate, but a header cannot encode it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """
    Credentials, and the hosts that may receive them.

    Attributes:
        password: ``user:password``; empty if there is only a token.
        token: A bearer token.
        registries: The only registries that may receive them; empty for no restriction.
        token_endpoints: Other hosts that may receive them.
    """

    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    registries: frozenset[RegistryHost] = frozenset()
    token_endpoints: frozenset[RegistryHost] = frozenset()

    @classmethod
    def parse(cls, text: str, arn: str) -> Secret:
        """
        Parse a secret.

        Raises:
            CredentialsError: It has no credentials, or an invalid key.
        """
        try:
            data: object = json.loads(text, object_pairs_hook=_unique_keys)
        except (ValueError, RecursionError) as error:
            if isinstance(error, _DuplicateKeyError):
                raise _refuse(arn, f"has the duplicate key {truncated_repr(str(error))}") from None
            data = text
        if isinstance(data, str | int):
            # A token without JSON may have digits only, which is JSON, too.
            data = {"token": data if isinstance(data, str) and data != text else text.strip()}
        values = data if isinstance(data, dict) else {}
        for key in values:
            if key not in _KEYS and key.casefold() in {known.casefold() for known in _KEYS}:
                raise _refuse(
                    arn, f"has an unknown key {truncated_repr(key)}; keys are case-sensitive: {', '.join(_KEYS)}"
                )
        return cls(
            **_credentials(values, arn),
            registries=frozenset(_hosts(values, "registry", arn)),
            token_endpoints=frozenset(_hosts(values, "tokenEndpoint", arn)),
        )

    def check(self, registry: RegistryHost, arn: str) -> None:
        """
        Check that *registry* may receive the credentials.

        Raises:
            CredentialsError: The secret is for other registries.
        """
        if self.registries and registry.canonical not in self.registries:
            named = ", ".join(sorted(map(str, self.registries)))
            message = f"the secret {arn} is for the registry {named}, so it is not sent to {registry}"
            hint = f'use another secret, or add {registry} to the key "registry" of this one'
            raise CredentialsError(message, operation=OPERATION, hint=hint)


class _DuplicateKeyError(ValueError):
    """An object has a duplicate key."""


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _DuplicateKeyError(key)
        found[key] = value
    return found


def _credentials(data: Mapping[str, object], arn: str) -> Mapping[str, str]:
    values = {key: value for key, value in data.items() if isinstance(value, str) and not _SURROGATE.search(value)}
    if values.get("username") and "password" in values:
        return {"password": f"{values['username']}:{values['password']}"}
    token = values.get("token", "")
    if token and token.isascii() and token.isprintable():
        return {"token": token}
    # Only a token of other characters is still here.
    invalid = [key for key in ("username", "password", "token") if key in data and key not in values]
    invalid += ["token"] if token else []
    why = f": the value of {', '.join(invalid)} is not a string of printable characters" if invalid else ""
    message = f"the secret {arn} has no credentials{why}"
    hint = 'set it to {"username": "…", "password": "…", "registry": "…"}, or to a token'
    raise CredentialsError(message, operation=OPERATION, hint=hint)


def _hosts(data: Mapping[str, object], key: str, arn: str) -> Iterator[RegistryHost]:
    """Read hosts, which may be given as host names or as URLs."""
    value = data.get(key, [])
    for text in value if isinstance(value, list) else [value]:
        try:
            written = str(text) if isinstance(text, str) else ""
            parts = urlsplit(written if "://" in written else f"//{written}")
            yield RegistryHost.parse(parts.netloc).canonical
        except (ImageError, ValueError):
            raise _refuse(
                arn, f"has an invalid host in the key {key!r}; expected e.g. 'registry.example.com'"
            ) from None


def _refuse(arn: str, why: str) -> CredentialsError:
    return CredentialsError(f"the secret {arn} {why}", operation=OPERATION)

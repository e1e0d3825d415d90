"""
What a secret in AWS Secrets Manager says: credentials, and where they may go.

Shape:
    ``{"username": "…", "password": "…"}`` or ``{"token": "…"}``, and beside
    them ``"registry": "ghcr.io"``, the only registry that they are sent to,
    and ``"tokenEndpoint": "https://auth.example.com"``, a host beside the
    registry that may have them too; both may be lists. Or a token alone.
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
"""JSON can escape one that stands alone, and no bytes of a header stand for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """
    Credentials, and where they may go.

    Attributes:
        password: ``user:password``; empty: there is only a token.
        token: What a registry takes as it is.
        registries: The only registries that may have them; empty: the secret does not say.
        token_endpoints: Hosts beside the registry that may have them, too.
    """

    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    registries: frozenset[RegistryHost] = frozenset()
    token_endpoints: frozenset[RegistryHost] = frozenset()

    @classmethod
    def parse(cls, text: str, arn: str) -> Secret:
        """
        Read a secret.

        Raises:
            CredentialsError: It holds none, or says what cannot be understood.
        """
        try:
            data: object = json.loads(text, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            if isinstance(error, _TwiceError):
                raise _refuse(arn, f"has the key {truncated_repr(str(error))} twice") from None
            data = {"token": text.strip()}
        values = data if isinstance(data, dict) else {}
        for key in values:
            if key not in _KEYS and key.casefold() in {known.casefold() for known in _KEYS}:
                raise _refuse(
                    arn, f"has a key {truncated_repr(key)}; its keys are {', '.join(_KEYS)}, in just these letters"
                )
        return cls(
            **_credentials(values, arn),
            registries=frozenset(_hosts(values, "registry", arn)),
            token_endpoints=frozenset(_hosts(values, "tokenEndpoint", arn)),
        )

    def check(self, registry: RegistryHost, arn: str) -> None:
        """
        Refuse to use it for a registry that it is not for.

        Raises:
            CredentialsError: It names another.
        """
        if self.registries and registry.canonical not in self.registries:
            named = ", ".join(sorted(map(str, self.registries)))
            message = f"the secret {arn} is for the registry {named}, and is not sent to {registry}"
            hint = f'name another secret, or add {registry} to the key "registry" of this one'
            raise CredentialsError(message, operation=OPERATION, hint=hint)


class _TwiceError(ValueError):
    """A key that an object has twice."""


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _TwiceError(key)
        found[key] = value
    return found


def _credentials(data: Mapping[str, object], arn: str) -> Mapping[str, str]:
    values = {key: value for key, value in data.items() if isinstance(value, str) and not _SURROGATE.search(value)}
    if values.get("username") and "password" in values:
        return {"password": f"{values['username']}:{values['password']}"}
    token = values.get("token", "")
    if token and token.isascii() and token.isprintable():
        return {"token": token}
    message = f"the secret {arn} holds no credentials"
    hint = 'make it {"username": "…", "password": "…", "registry": "…"}, or a token'
    raise CredentialsError(message, operation=OPERATION, hint=hint)


def _hosts(data: Mapping[str, object], key: str, arn: str) -> Iterator[RegistryHost]:
    """Read hosts, as people write them: alone, or as addresses."""
    value = data.get(key, [])
    for text in value if isinstance(value, list) else [value]:
        try:
            written = str(text) if isinstance(text, str) else ""
            parts = urlsplit(written if "://" in written else f"//{written}")
            yield RegistryHost.parse(parts.netloc).canonical
        except (ImageError, ValueError):
            raise _refuse(arn, f"has a key {key!r} that is no host; expected e.g. 'registry.example.com'") from None


def _refuse(arn: str, why: str) -> CredentialsError:
    return CredentialsError(f"the secret {arn} {why}", operation=OPERATION)

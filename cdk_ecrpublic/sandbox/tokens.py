"""
Passwords of GetAuthorizationToken, and bearer tokens of ``/token/``.

Both are signed by this process and contain their own purpose, so nothing has to be
stored. Their lifetime is looked up when they are used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from . import errors
from .settings import Settings

Kind = Literal["password", "authenticated", "anonymous", "blob", "private"]

PASSWORD_USER = "AWS"  # noqa: S105 - the user name that goes with the password

_HEX_CHARACTERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """
    The content of a token.

    Attributes:
        subject: An account; the digest of a blob for the kind ``blob``; an access
            key for the kind ``private``, a password of private ECR.
        access_key: The access key that an account's password or token was issued for.
        issued_at: Seconds since the epoch.
    """

    kind: Kind
    subject: str = ""
    access_key: str = ""
    issued_at: float = 0.0


@dataclass(slots=True)
class Tokens:
    """Issues and checks tokens."""

    settings: Callable[[], Settings]
    clock: Callable[[], float]
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def bearer(self, owner: Grant | None) -> str:
        """Issue the token of ``/token/``, for the owner of a password or for an anonymous client."""
        return self._sign("authenticated", owner.subject, owner.access_key) if owner else self._sign("anonymous", "")

    def blob(self, digest: str) -> str:
        """Issue the signature in the URL of a layer."""
        return self._sign("blob", digest)

    def password(self, account: str, access_key: str) -> tuple[str, float]:
        """
        Issue a password that contains its owner, and return it with its expiry time.

        Shape:
            Base64 of ``{"payload": …, "datakey": …, "version": "3",
            "type": "DATA_KEY", "expiration": 1700000000}``, as the AWS
            command line's example of get-authorization-token shows it.
        """
        expires = self.clock() + self.settings().password_ttl_seconds
        content = {
            "payload": self._sign("password", account, access_key),
            "datakey": base64.b64encode(secrets.token_bytes(24)).decode(),
            "version": "3",
            "type": "DATA_KEY",
            "expiration": int(expires),
        }
        return base64.b64encode(json.dumps(content).encode()).decode(), expires

    def private_password(self, access_key: str) -> str:
        """Issue a password of private ECR that contains its owner. ``/token/`` returns it as a bearer token."""
        return self._sign("private", access_key)

    def find_private_password(self, authorization: str) -> str | None:
        """Find a password of private ECR in a header with basic or bearer authentication."""
        scheme, _, value = authorization.partition(" ")
        password = _decode(value.strip()).partition(":")[2] if scheme.lower() == "basic" else value.strip()
        grant = self._read(password)
        return password if grant and grant.kind == "private" else None

    def access_key_of(self, authorization: str) -> str | None:
        """Return the owner of the password of private ECR in a header; None if there is none."""
        password = self.find_private_password(authorization)
        grant = self._read(password) if password else None
        return grant.subject if grant else None

    def grant_of_basic(self, encoded: str) -> Grant:
        """
        Check ``AWS:<password>`` in base64, the token of GetAuthorizationToken.

        Raises:
            ServiceError: The sandbox did not issue it, or it has expired.
        """
        user, _, password = _decode(encoded).partition(":")
        try:
            payload = json.loads(_decode(password))["payload"]
        except (ValueError, KeyError, TypeError):
            payload = ""
        grant = self._read(str(payload))
        if user != PASSWORD_USER or grant is None or grant.kind != "password":
            raise errors.INVALID_TOKEN.error()
        if self.clock() >= grant.issued_at + self.settings().password_ttl_seconds:
            raise errors.EXPIRED_TOKEN.error()
        return replace(grant, kind="authenticated")

    def grant_of_bearer(self, token: str) -> Grant:
        """
        Check a bearer token.

        Raises:
            ServiceError: The sandbox did not issue it, or it has expired.
        """
        grant = self._read(token)
        if grant and grant.kind == "private":
            return Grant(kind="anonymous")
        if grant is None or grant.kind not in ("authenticated", "anonymous"):
            if self.settings().raw_bearer == "reject":
                raise errors.INVALID_TOKEN.error()
            return self.grant_of_basic(token)
        if self.clock() >= grant.issued_at + self.settings().token_ttl_seconds:
            raise (
                errors.EXPIRED_TOKEN.error()
                if self.settings().expired_style == errors.EXPIRED_TOKEN.oci[0]
                else errors.INVALID_TOKEN.error()
            )
        return grant

    def digest_of_blob(self, token: str) -> str | None:
        """Check the signature in the URL of a layer."""
        grant = self._read(token)
        return grant.subject if grant and grant.kind == "blob" else None

    def _sign(self, kind: Kind, subject: str, access_key: str = "") -> str:
        payload = json.dumps([kind, subject, access_key, self.clock(), secrets.token_hex(8)]).encode()
        return base64.urlsafe_b64encode(self._mac(payload).encode() + payload).decode()

    def _read(self, token: str) -> Grant | None:
        try:
            raw = base64.urlsafe_b64decode(token.encode())
        except (ValueError, binascii.Error):
            return None
        mac, payload = raw[:_HEX_CHARACTERS], raw[_HEX_CHARACTERS:]
        if not hmac.compare_digest(mac, self._mac(payload).encode()):
            return None
        kind, subject, access_key, issued_at, _ = json.loads(payload)
        return Grant(kind=kind, subject=subject, access_key=access_key, issued_at=issued_at)

    def _mac(self, payload: bytes) -> str:
        return hmac.new(self._key, payload, hashlib.sha256).hexdigest()


def basic_credentials(password: str) -> str:
    """Return the credentials of basic authentication, which are the ``authorizationToken`` of GetAuthorizationToken."""
    return base64.b64encode(f"{PASSWORD_USER}:{password}".encode()).decode()


def _decode(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return ""

"""
IAM for ECR Public: calls ministack's evaluator as ministack's own services do.

The evaluator knows roles, users, policies, boundaries and sessions, and checks
signatures. It keeps the state of a request in context variables, so each request is
evaluated in a separate context.
"""

from __future__ import annotations

import json
from contextlib import suppress
from contextvars import copy_context
from typing import Any
from urllib.parse import parse_qs

from ministack.core import iam_actions, iam_evaluator, responses
from starlette.types import ASGIApp, Receive, Scope, Send

from .. import errors
from ..authorization import Attempt, Permission
from ..operations import SERVICE


def authorize(attempt: Attempt) -> None:
    """
    Check that the caller's policies allow a call.

    Raises:
        ServiceError: The key, its session or the signature is invalid, or the
            policies do not allow the call.
    """
    copy_context().run(_authorize, attempt)


def authorize_login(access_key: str, region: str, permission: Permission) -> None:
    """
    Check a request that has a password instead of a signature.

    Args:
        access_key: The access key that the password was issued for.
        region: The Region of the resource.

    Raises:
        ServiceError: The session has ended, or the policies do not allow it.
    """
    copy_context().run(_authorize_login, access_key, region, permission)


def requesting_key(account: str) -> str:
    """Return the access key that signed the current request. The root key, which is the account id, is not verified."""
    # ministack keeps the key in a private variable only.
    key: str = iam_evaluator._verified_key.get()  # noqa: SLF001
    return key or account


def as_if_over_tls(app: ASGIApp) -> ASGIApp:
    """
    Make ministack treat requests as sent over TLS, as on AWS.

    The bucket of ``cdk bootstrap`` denies requests without TLS.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "headers": [*scope["headers"], (b"x-forwarded-proto", b"https")]}
        await app(scope, receive, send)

    return answer


def name_resources() -> None:
    """
    Correct the resources of three operations.

    GetParametersByPath requires its action on the path, where ministack uses
    ``*`` (seen: aws/aws-dotnet-extensions-configuration#108), and DeleteParameters
    on each parameter; here the first one counts. SignPayload
    requires it on the signing profile, which is in the body (documented:
    service authorization reference).
    """
    resource_of = iam_actions.extract_resource_arn

    def answer(service: str, *request: Any) -> str:  # noqa: ANN401 - ministack's, untyped
        found: str = resource_of(service, *request)
        *_, body, _query, region, account = request
        if service == "signer" and found.endswith("/with-payload"):
            return f"arn:aws:signer:{region}:{account}:/signing-profiles/{_text_in(body, 'profileName')}"
        path = (_text_in(body, "Path") or _text_in(body, "Names")) if service == "ssm" and found == "*" else None
        return f"arn:aws:ssm:{region}:{account}:parameter{path}" if path else found

    iam_actions.extract_resource_arn = answer


def account_of(access_key: str) -> str | None:
    """Return the account of a session or a user; None for an unknown key."""
    # ministack returns sessions from a private function only.
    session: str | None = responses._account_from_sts_session(access_key)  # noqa: SLF001
    user: str | None = iam_evaluator.find_iam_access_key_account(access_key)
    return session or user


def _text_in(body: bytes, name: str) -> str | None:
    """Return a member of a JSON request, or the first item of a list."""
    with suppress(ValueError):
        data = json.loads(body)
        text = data.get(name) if isinstance(data, dict) else None
        text = text[0] if isinstance(text, list) and text else text
        return text if isinstance(text, str) else None
    return None


def _authorize(attempt: Attempt) -> None:
    scope = attempt.scope
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    responses.set_request_account_id(attempt.account)
    responses.set_request_region(attempt.region)
    iam_evaluator.pin_request_origin((scope.get("client") or ("127.0.0.1",))[0], secure_transport=True)
    iam_evaluator.pin_signed_request(scope["method"], scope["raw_path"].decode("latin-1"), query, scope["headers"])
    iam_evaluator.pin_signed_body(attempt.body)
    for permission in attempt.permissions:
        _check(attempt.access_key, attempt.region, permission)


def _authorize_login(access_key: str, region: str, permission: Permission) -> None:
    responses.set_request_account_id(account_of(access_key) or access_key)
    responses.set_request_region(region)
    _check(access_key, region, permission)


def _check(access_key: str, region: str, permission: Permission) -> None:
    denied = iam_evaluator.enforce(
        access_key,
        permission.action,
        permission.action.partition(":")[0],
        region,
        resource_arn=permission.resource,
        service_context=dict(permission.context),
    )
    if isinstance(denied, iam_evaluator.AuthError):
        raise _not_authenticated(permission.action, denied)
    if denied is not None:
        reason = iam_actions.identity_denial_message(
            permission.action, denied.principal_arn, permission.resource, denied.decision == "Deny"
        )
        raise errors.NOT_ALLOWED.error(reason=reason)


def _not_authenticated(action: str, failure: iam_evaluator.AuthError) -> errors.ServiceError:
    """Convert a failure to an AWS JSON error, as ministack does."""
    json_protocol = {"x-amz-target": action}
    _status, _headers, body = iam_actions.access_denied_response(
        SERVICE, action, "", "", error_code=failure.code, message=failure.message, headers=json_protocol
    )
    data = json.loads(body)
    return errors.Refusal(code=data["__type"], text="{reason}").error(reason=data["message"])

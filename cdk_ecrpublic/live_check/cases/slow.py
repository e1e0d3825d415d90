"""What expires. It takes more than an hour on AWS, and no time in the sandbox."""

from __future__ import annotations

from cdk_ecrpublic._assets.lambda_handler.oci import Digest
from cdk_ecrpublic.live_check.case import Group, case
from cdk_ecrpublic.live_check.target import Target

STEPS_MINUTES = (50, 15)
"""Just before and just after an hour. A check every few minutes would keep something alive."""


@case(
    fidelity=("an expired login", "`token_ttl_seconds`", "`expired_style`", "`InitiateLayerUpload`"),
    settings=("token_ttl_seconds", "expired_style"),
    handler=("registry.auth.RegistryAuth", "registry.uploads.Uploads"),
    group=Group.SLOW,
)
def outlive_a_token(target: Target) -> None:
    """How long do a token and an upload live, and what is said after that?"""
    target.repository()
    token = target.session.authorization("token")["Authorization"]
    anonymous = target.session.authorization("anonymous")["Authorization"]
    content = b"late"
    uploads = [target.api("InitiateLayerUpload").data["uploadId"] for _ in STEPS_MINUTES]
    passed = 0
    for minutes, upload in zip(STEPS_MINUTES, uploads, strict=True):
        target.wait(minutes * 60)
        passed += minutes
        target.http("GET", "/v2/", login=token, note=f"token after {passed} minutes")
        target.http("GET", "/v2/", login=anonymous, note=f"anonymous token after {passed} minutes")
        target.upload_part(upload, content, note=f"after {passed} minutes")
        target.complete_upload(upload, str(Digest.of(content)), f"after {passed} minutes")
    target.session.forget_logins()

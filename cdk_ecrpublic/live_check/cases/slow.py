"""What expires, and what comes late. It takes more than an hour on AWS, and no time in the sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdk_ecrpublic._assets.lambda_handler.oci import Digest
from cdk_ecrpublic.live_check.case import Group, case
from cdk_ecrpublic.live_check.events import Events
from cdk_ecrpublic.live_check.images import image
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


@case(
    fidelity=("calls that fail", "a push over HTTP", "`cloudtrail:LookupEvents`", "the time until an event arrives"),
    group=Group.SLOW,
    needs_other_services=True,
)
def look_up_events(target: Target) -> None:
    """Which fields do CloudTrail's events of PutImage and BatchDeleteImage have, also if a call is refused?"""
    one, pushed = image("one"), image("pushed")
    events, begin = Events(target.session), target.session.now()
    target.name(pushed.digest, "image pushed")
    target.put(one, "a")
    target.put(one, "a")
    target.put(one, "b", imageDigest=pushed.digest)
    headers = {"Content-Type": pushed.media_type}
    target.http("PUT", "manifests/c", headers=headers, body=pushed.manifest)
    target.delete({"imageTag": "a"}, {"imageTag": "missing"})
    found = events.wait(target.repository(), {"PutImage": 4, "BatchDeleteImage": 1})
    target.measure("seconds until all events were found", round(target.session.now() - begin))
    for event in sorted(found, key=_order):
        target.measure("the fields of userIdentity", event.pop("fields of userIdentity"))
        target.observe(f"the event of {' '.join(_order(event)).strip()}", target.data(event))


def _order(event: Mapping[str, Any]) -> tuple[str, ...]:
    parameters = event["requestParameters"] or {}
    return event["eventName"], parameters.get("imageTag", ""), event.get("errorCode", "")

"""
Signatures that ministack 1.5.33 does not make: AWS Signer's for images, and the managed signing of private ECR.

A certificate authority that exists only as long as the sandbox issues the
certificates of signing profiles. Like this module, ministack's KMS needs the
package ``cryptography``.

References:
    AWS Signer API reference, "SignPayload"; Amazon ECR user guide, "Managed
    signing"; Notary Project, signature-specification.md and
    signature-envelope-jws.md.
"""

from __future__ import annotations

import base64
import datetime as dt
import fnmatch
import json
import uuid
from collections.abc import Mapping
from functools import cached_property
from typing import Any

Answer = tuple[int, dict[str, str], bytes]

NOTATION = "Notation-OCI-SHA384-ECDSA"
"""The platform of signing profiles for container images."""

PAYLOAD_TYPE = "application/vnd.cncf.notary.payload.v1+json"
_SIGN_PAYLOAD = ("POST", "/signing-jobs/with-payload")
_SCALAR_BYTES = 48
"""The length of each number of a signature with P-384 in a JWS (RFC 7518, section 3.4)."""

_VALID = dt.timedelta(days=365)


class Authority:
    """A certificate authority whose keys are never stored."""

    def __init__(self) -> None:
        self._issued: dict[str, tuple[Any, Any]] = {}

    @cached_property
    def root(self) -> tuple[Any, Any]:
        """Its key and its own certificate."""
        return self._issue("sandbox root", None)

    def profile(self, arn: str) -> tuple[Any, Any]:
        """Return the key and the certificate of a signing profile."""
        if arn not in self._issued:
            self._issued[arn] = self._issue(arn.rpartition("/")[2], self.root)
        return self._issued[arn]

    def _issue(self, name: str, issuer: tuple[Any, Any] | None) -> tuple[Any, Any]:
        from cryptography import x509  # noqa: PLC0415 - ECR Public alone works without it
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: PLC0415

        key, now = ec.generate_private_key(ec.SECP384R1()), dt.datetime.now(dt.UTC)
        parts = {
            "COUNTRY_NAME": "US",
            "STATE_OR_PROVINCE_NAME": "WA",
            "ORGANIZATION_NAME": "sandbox",
            "COMMON_NAME": name,
        }
        subject = x509.Name([x509.NameAttribute(getattr(NameOID, oid), text) for oid, text in parts.items()])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer[1].subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + _VALID)
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
            .add_extension(_usage(x509, is_authority=issuer is None), critical=True)
        )
        if issuer:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
            certificate = certificate.add_extension(usage, critical=False)
        return key, certificate.sign(issuer[0] if issuer else key, hashes.SHA384())


def _usage(x509: Any, *, is_authority: bool) -> Any:  # noqa: ANN401 - imported late
    names = (
        "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only",
        "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(digital_signature=not is_authority, key_cert_sign=is_authority, **dict.fromkeys(names, False))


def envelope(authority: Authority, profile_version: str, job: str, payload: bytes) -> bytes:
    """
    Sign a payload as AWS Signer does.

    The name of its verification plugin is left out: notation would then need
    that plugin, which asks AWS about revocations.

    Shape:
        ``{"payload": "…", "protected": "…", "header": {"x5c": ["…", "…"],
        "io.cncf.notary.signingAgent": "…"}, "signature": "…"}``
    """
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415

    key, certificate = authority.profile(profile_version.rpartition("/")[0])
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    scheme, time = "io.cncf.notary.signingScheme", "io.cncf.notary.authenticSigningTime"
    protected = {
        "alg": "ES384",
        "crit": [scheme, time],
        "cty": PAYLOAD_TYPE,
        scheme: "notary.x509.signingAuthority",
        time: now,
        "com.amazonaws.signer.signingJob": job,
        "com.amazonaws.signer.signingProfileVersion": profile_version,
    }
    parts = [_base64url(json.dumps(protected).encode()), _base64url(payload)]
    r, s = utils.decode_dss_signature(key.sign(".".join(parts).encode(), ec.ECDSA(hashes.SHA384())))
    chain = [each.public_bytes(serialization.Encoding.DER) for each in (certificate, authority.root[1])]
    header = {"x5c": [base64.b64encode(each).decode() for each in chain], "io.cncf.notary.signingAgent": "sandbox"}
    signature = _base64url(r.to_bytes(_SCALAR_BYTES, "big") + s.to_bytes(_SCALAR_BYTES, "big"))
    return json.dumps({"payload": parts[1], "protected": parts[0], "header": header, "signature": signature}).encode()


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def sign_payloads() -> None:
    """Add SignPayload to ministack's Signer."""
    from ministack.services import signer  # noqa: PLC0415

    authority, handle = Authority(), signer.handle_request

    async def handled(method: str, path: str, headers: dict[str, str], body: bytes, query: object) -> Answer:
        is_ours = (method, path) == _SIGN_PAYLOAD
        answer: Answer = (
            _sign(authority, json.loads(body)) if is_ours else await handle(method, path, headers, body, query)
        )
        return answer

    signer.handle_request = handled


def _sign(authority: Authority, data: Mapping[str, Any]) -> Any:  # noqa: ANN401 - ministack's answer
    from ministack.core.responses import get_account_id, json_response  # noqa: PLC0415
    from ministack.services import signer  # noqa: PLC0415

    name, account = data.get("profileName"), get_account_id()
    profile = signer._profiles.get(name)  # noqa: SLF001
    if profile is None or data.get("profileOwner", account) != account:
        return signer._error(404, "ResourceNotFoundException", f"profile with name {name} does not exist")  # noqa: SLF001
    if data.get("payloadFormat") != PAYLOAD_TYPE or profile.get("platformId") != NOTATION:
        message = f"SignPayload needs the format {PAYLOAD_TYPE}, and a profile of the platform {NOTATION}"
        return signer._error(400, "ValidationException", message)  # noqa: SLF001
    arn, job_id = profile["arn"], str(uuid.uuid4())
    job = f"{arn.rpartition('/signing-profiles/')[0]}/signing-jobs/{job_id}"
    signed = envelope(authority, f"{arn}/{profile['profileVersion']}", job, base64.b64decode(data["payload"]))
    answer = {"jobId": job_id, "jobOwner": account, "metadata": {}, "signature": base64.b64encode(signed).decode()}
    return json_response(answer)


def sign_in_private_ecr() -> None:
    """
    Add the managed signing of private ECR, as far as it can be asked about: no signature is made.

    An image matches the rules that are there when it is asked about. The first
    answer is ``IN_PROGRESS``; on AWS, signing takes some seconds.
    """
    from ministack.services import ecr  # noqa: PLC0415

    handle, managed = ecr.handle_request, _ManagedSigning()
    operations = {"DescribeImageSigningStatus": managed.describe, "PutSigningConfiguration": managed.configure}

    async def handled(method: str, path: str, headers: dict[str, str], body: bytes, query: object) -> Answer:
        operation = operations.get(headers.get("x-amz-target", "").rpartition(".")[2])
        answer: Answer = operation(json.loads(body)) if operation else await handle(method, path, headers, body, query)
        return answer

    ecr.handle_request = handled


class _ManagedSigning:
    """The signing rules of each registry, and which images were asked about."""

    def __init__(self) -> None:
        self._rules: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        self._asked: set[tuple[str, ...]] = set()

    def configure(self, data: Mapping[str, Any]) -> Any:  # noqa: ANN401 - ministack's answer
        """Answer PutSigningConfiguration."""
        from ministack.core.responses import json_response  # noqa: PLC0415

        self._rules[self._registry] = data["signingConfiguration"].get("rules", [])
        return json_response({"signingConfiguration": data["signingConfiguration"]})

    def describe(self, data: Mapping[str, Any]) -> Any:  # noqa: ANN401 - ministack's answer
        """Answer DescribeImageSigningStatus."""
        from ministack.core.responses import json_response  # noqa: PLC0415
        from ministack.services import ecr  # noqa: PLC0415

        described = ecr._describe_images({**data, "imageIds": [data["imageId"]]})  # noqa: SLF001
        found = json.loads(described[2]).get("imageDetails")
        if not found:
            return described
        name, digest = data["repositoryName"], found[0]["imageDigest"]
        rules = [rule for rule in self._rules.get(self._registry, ()) if _matches(rule, name)]
        statuses = [self._status(rule["signingProfileArn"], name, digest) for rule in rules]
        return json_response({"repositoryName": name, "imageId": {"imageDigest": digest}, "signingStatuses": statuses})

    def _status(self, profile: str, name: str, digest: str) -> dict[str, str]:
        from ministack.services import signer  # noqa: PLC0415

        if signer._profiles.get(profile.rpartition("/")[2]) is None:  # noqa: SLF001
            why = {"failureCode": "ResourceNotFoundException", "failureReason": "the signing profile does not exist"}
            return {"signingProfileArn": profile, "status": "FAILED", **why}
        place = (*self._registry, name, digest, profile)
        is_new = place not in self._asked
        self._asked.add(place)
        return {"signingProfileArn": profile, "status": "IN_PROGRESS" if is_new else "COMPLETE"}

    @property
    def _registry(self) -> tuple[str, str]:
        from ministack.core.responses import get_account_id, get_region  # noqa: PLC0415

        return get_account_id(), get_region()


def _matches(rule: Mapping[str, Any], name: str) -> bool:
    filters = rule.get("repositoryFilters") or [{"filter": "*"}]
    return any(fnmatch.fnmatchcase(name, each["filter"]) for each in filters)

"""KMS, AWS Signer, and the managed signing of private ECR."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from botocore import xform_name
from botocore.exceptions import ClientError

from ..errors import RejectedError
from ..oci import Digest, PrivateEcr
from ..retry import Retry
from .errcode import error_code, translated

T = TypeVar("T")

REGION = 3
"""The index of the Region in an ARN that is split at colons."""

POLL_SECONDS = 5.0
"""How long to wait before private ECR is asked again. Signing takes some seconds."""

PAYLOAD_TYPE = "application/vnd.cncf.notary.payload.v1+json"
"""The only format of a payload that AWS Signer signs."""

_INVALID = "KMSInvalidSignatureException"


@dataclass(slots=True, eq=False, repr=False)
class Signing:
    """
    Signs and verifies with KMS, signs with AWS Signer, and reads the signing status of images in private ECR.

    Attributes:
        client: Returns the client of a service in a Region.
        until: Until when to wait for signatures that private ECR is making, on the clock of the deadline.
    """

    client: Callable[[str, str], Any]
    retry: Retry
    until: float = 0.0

    def public_key(self, key_arn: str) -> tuple[str, bytes]:
        """Return the type of a key, and the public key in DER."""

        def read(answer: Mapping[str, Any]) -> tuple[str, bytes]:
            if answer["KeyUsage"] != "SIGN_VERIFY":
                message = f"the key {key_arn} has the usage {answer['KeyUsage']}; expected SIGN_VERIFY"
                raise RejectedError(message, operation="kms:GetPublicKey")
            return str(answer["KeySpec"]), bytes(answer["PublicKey"])

        return self._kms(key_arn, "GetPublicKey", {}, read)

    def sign(self, key_arn: str, algorithm: str, digest: bytes) -> bytes:
        """Sign a digest."""
        parameters = {"Message": digest, "MessageType": "DIGEST", "SigningAlgorithm": algorithm}
        return self._kms(key_arn, "Sign", parameters, lambda answer: bytes(answer["Signature"]))

    def verify(self, key_arn: str, algorithm: str, digest: bytes, signature: bytes) -> bool:
        """Whether the key made the signature. KMS answers an invalid one with an error."""
        parameters = {
            "Message": digest,
            "MessageType": "DIGEST",
            "Signature": signature,
            "SigningAlgorithm": algorithm,
        }
        try:
            return self._kms(key_arn, "Verify", parameters, lambda answer: answer["SignatureValid"] is True)
        except RejectedError as error:
            if isinstance(error.__cause__, ClientError) and error_code(error.__cause__) == _INVALID:
                return False
            raise

    def sign_payload(self, profile_arn: str, payload: bytes) -> bytes:
        """Sign a payload of the Notary Project; return the envelope."""
        parts = profile_arn.split(":")

        def call() -> bytes:
            with translated("signer:SignPayload"):
                answer = self.client("signer", parts[REGION]).sign_payload(
                    profileName=profile_arn.rpartition("/")[2],
                    profileOwner=parts[REGION + 1],
                    payload=payload,
                    payloadFormat=PAYLOAD_TYPE,
                )
                return bytes(answer["signature"])

        return self.retry.call("asking signer:SignPayload", call, retry_access_denied=True)

    def status(self, registry: PrivateEcr, repository: str, image: Digest, profile_arn: str) -> tuple[str, str]:
        """Return the status of an image's signature with a profile, and why it is not complete."""
        clock, start = self.retry.deadline.clock, self.retry.deadline.clock.now()
        status, failure = self._status(registry, repository, image, profile_arn)
        while status == "IN_PROGRESS" and clock.now() + POLL_SECONDS <= self.until:
            self.retry.log.info(f"waiting until private ECR has signed {image}", imageDigest=str(image))
            clock.sleep(POLL_SECONDS)
            status, failure = self._status(registry, repository, image, profile_arn)
        waited = clock.now() - start
        return status, f"after {waited:.0f} s" if status == "IN_PROGRESS" and waited else failure

    def _status(self, registry: PrivateEcr, repository: str, image: Digest, profile_arn: str) -> tuple[str, str]:
        def call() -> tuple[str, str]:
            with translated("ecr:DescribeImageSigningStatus"):
                answer = self.client("ecr", registry.region).describe_image_signing_status(
                    registryId=registry.account,
                    repositoryName=repository,
                    imageId={"imageDigest": str(image)},
                )
                for each in answer.get("signingStatuses", ()):
                    if each["signingProfileArn"] == profile_arn:
                        failure = f"{each.get('failureCode', '')}: {each.get('failureReason', '')}".strip(": ")
                        return str(each["status"]), failure
                return "", ""

        return self.retry.call(f"reading the signing status of {image}", call, retry_access_denied=True)

    def _kms(self, key_arn: str, operation: str, parameters: Mapping[str, object], read: Callable[[Any], T]) -> T:
        def call() -> T:
            client = self.client("kms", key_arn.split(":")[REGION])
            with translated(f"kms:{operation}"):
                return read(getattr(client, xform_name(operation))(KeyId=key_arn, **parameters))

        return self.retry.call(f"asking kms:{operation}", call, retry_access_denied=True)

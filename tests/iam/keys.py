"""Keys and signing profiles of the account, and signatures of an image."""

from __future__ import annotations

import uuid

from cdk_ecrpublic.sandbox.images import Image, push_image
from lambda_handler.oci import Descriptor, Digest
from lambda_handler.signatures.bundle import EMPTY, bundle_of, message_of, referrer_of, statement_for

from .conftest import IMAGE, Aws


def new_key(aws: Aws) -> str:
    """Create a signing key in KMS, and return its ARN."""
    made = aws.sandbox.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    arn: str = made["KeyMetadata"]["Arn"]
    return arn


def new_profile(aws: Aws) -> str:
    """Create a signing profile for images, and return its ARN."""
    name = f"release_{uuid.uuid4().hex[:8]}"
    made = aws.sandbox.client("signer").put_signing_profile(profileName=name, platformId="Notation-OCI-SHA384-ECDSA")
    arn: str = made["arn"]
    return arn


def sign_with_key(aws: Aws, repository: str, key: str) -> None:
    """Attach a signature to the image in a repository."""
    statement = statement_for(Digest.parse(IMAGE.digest))
    signed = aws.sandbox.client("kms").sign(KeyId=key, Message=message_of(statement), SigningAlgorithm="ECDSA_SHA_256")
    bundle = bundle_of(statement, signed["Signature"], "")
    subject = Descriptor(media_type=IMAGE.media_type, digest=Digest.parse(IMAGE.digest), size=len(IMAGE.manifest))
    referrer = referrer_of(bundle, subject)
    blobs = {str(Digest.of(content)): content for content in (EMPTY, bundle)}
    signature = Image(manifest=referrer.content, media_type=referrer.media_type.value, blobs=blobs)
    push_image(aws.sandbox, repository, signature)

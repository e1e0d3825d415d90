"""The real cosign, in the version that signs under tags and in the one that attaches bundles."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cdk_ecrpublic.sandbox import SandboxProcess

COSIGN, COSIGN3 = "cosign", "cosign3"
MISSING = [tool for tool in (COSIGN, COSIGN3) if shutil.which(tool) is None]

_HTTP = ("--allow-http-registry", "--allow-insecure-registry")
_TRUSTED_ROOT = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
_SIGNING_CONFIG = {"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"}
"""Without a certificate authority, a transparency log and a timestamp authority."""


@dataclass(frozen=True)
class Cosign:
    """
    cosign, logged in to the sandbox, with keys of its KMS.

    Attributes:
        folder: For its configuration.
    """

    process: SandboxProcess
    folder: Path

    def __post_init__(self) -> None:
        login = self.process.client("ecr-public").get_authorization_token()["authorizationData"]["authorizationToken"]
        (self.folder / ".docker").mkdir()
        self._write(".docker/config.json", {"auths": {self.process.registry_host: {"auth": login}}})
        self._write("root.json", _TRUSTED_ROOT)
        self._write("signing.json", _SIGNING_CONFIG)

    def sign(self, image: str, key_id: str, form: str) -> None:
        """
        Sign an image with a key of KMS.

        Args:
            image: By digest.
            form: ``tag``, or ``bundle`` of version 2, or ``bundle 3`` of version 3.
        """
        options = {
            "tag": (COSIGN, "sign", "--tlog-upload=false"),
            "bundle": (COSIGN, "sign", "--tlog-upload=false", "--new-bundle-format"),
            "bundle 3": (COSIGN3, "sign", "--signing-config", "signing.json", "--trusted-root", "root.json"),
        }
        result = self._run(*options[form], "--yes", "--key", f"awskms:///{key_id}", *_HTTP, image)
        assert result.returncode == 0, result.stderr

    def accepts(self, image: str, key_id: str, form: str, tool: str = COSIGN) -> bool:
        """
        Whether cosign verifies an image with the public key of a key in KMS.

        Args:
            form: ``tag`` or ``bundle``.
        """
        result = self.verify(image, key_id, form, tool)
        assert result.returncode == 0 or "no " in result.stderr or "invalid" in result.stderr, result.stderr
        return result.returncode == 0

    def verify(
        self, image: str, key_id: str, form: str, tool: str = COSIGN, options: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Verify an image, without a network."""
        (self.folder / "key.pem").write_text(self.public_key(key_id), encoding="utf-8")
        is_bundle = form.startswith("bundle")
        options = (*options, f"--new-bundle-format={str(is_bundle).lower()}", "--trusted-root", "root.json")
        return self._run(tool, "verify", "--key", "key.pem", "--insecure-ignore-tlog=true", *options, *_HTTP, image)

    def public_key(self, key_id: str) -> str:
        """Return the public key of a key in KMS as PEM, as cosign itself exports it."""
        result = self._run(COSIGN, "public-key", "--key", f"awskms:///{key_id}")
        assert result.returncode == 0, result.stderr
        return result.stdout

    def _run(self, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        variables = {
            **kept,
            "HOME": str(self.folder),
            "TUF_ROOT": str(self.folder / "tuf"),
            "AWS_ENDPOINT_URL": self.process.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.process.account,
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
        return subprocess.run(
            [tool, *arguments], cwd=self.folder, env=variables, capture_output=True, text=True, check=False, timeout=120
        )

    def _write(self, name: str, data: object) -> None:
        (self.folder / name).write_text(json.dumps(data), encoding="utf-8")

"""
The templates and responses of each release, as files. As a script, this module writes those of a version.

Usage: python -m tests.contract.records [VERSION]

The default is the version in pyproject.toml. Records of released versions never change.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aws_cdk import App, Stack
from aws_cdk.assertions import Template
from packaging.version import Version

from cdk_ecrpublic.review.app.resolver import Resolver
from cdk_ecrpublic.sandbox import ImageScan, SandboxProcess
from cdk_ecrpublic.sandbox.images import push, push_image
from tests.protocol.cloudformation import Answer, CloudFormation, answer_address
from tests.protocol.conftest import Lambda
from tests.support.control_plane import control_plane
from tests.support.scope import FixedScope

from . import declarations
from .declarations import DECLARATIONS, IMAGE, KEY_ARN, REGISTRY, REPOSITORY, SECRET_ARN, UPSTREAM

CHECKOUT = Path(__file__).resolve().parents[2]
RELEASED = Path(__file__).parent / "released"
STACKS = "stacks"
"""The name of the record that has the logical ids of whole stacks."""

Record = dict[str, Any]


def versions() -> list[str]:
    """List the versions that have records, oldest first."""
    return sorted((folder.name for folder in RELEASED.iterdir() if folder.is_dir()), key=Version)


@cache
def _read(path: Path) -> Record:
    record: Record = json.loads(path.read_text(encoding="utf-8"))
    return record


def recorded(version: str) -> dict[str, Record]:
    """Read the records of a version: one for each kind of declaration, and ``stacks``."""
    return {path.stem: copy.deepcopy(_read(path)) for path in sorted((RELEASED / version).glob("*.json"))}


def kinds(version: str) -> dict[str, Record]:
    """Read what a version recorded of each kind of declaration."""
    return {name: record for name, record in recorded(version).items() if name != STACKS}


def _template(kind: str, flags: Mapping[str, object] | None = None) -> Record:
    stack = Stack(App(context=flags), "Stack")
    DECLARATIONS[kind](stack)
    return dict(Template.from_stack(stack).to_json())


def rendered(kind: str, flags: Mapping[str, object] | None = None) -> Record:
    """
    Synthesize a declaration with the current library.

    Args:
        flags: Feature flags of the CDK, as in ``cdk.json``.

    Returns:
        Its resource's logical id, type and properties.
    """
    resources = _template(kind, flags)["Resources"]
    ((logical_id, resource),) = [(name, each) for name, each in resources.items() if "ECRPublicImage" in each["Type"]]
    return {"LogicalId": logical_id, "Type": resource["Type"], "Properties": resource["Properties"]}


def rendered_stacks() -> Record:
    """Synthesize whole stacks; return the resource types by logical id, and the exports."""
    provider = Template.from_stack(declarations.provider_stack(App())).to_json()
    return {
        "Resources": {name: each["Type"] for name, each in sorted(_template("removal")["Resources"].items())},
        "ProviderStackResources": {name: each["Type"] for name, each in sorted(provider["Resources"].items())},
        "ProviderStackOutputs": provider["Outputs"],
    }


@dataclass(frozen=True)
class World:
    """An account with everything that the declarations refer to, and the current handler."""

    sandbox: SandboxProcess
    cloudformation: CloudFormation

    def as_sent(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Return properties of a template as the handler gets them: with values of this account."""
        resolve = Resolver(FixedScope(self._pseudo_parameters()))
        text = json.dumps(resolve({name: value for name, value in properties.items() if name != "ServiceToken"}))
        text = text.replace(REGISTRY, self._registry()).replace(SECRET_ARN, self._secret())
        sent: dict[str, Any] = json.loads(text.replace(KEY_ARN, self._key()) if KEY_ARN in text else text)
        return sent

    def create(self, record: Record) -> Answer:
        """Send the Create of a record."""
        return self.cloudformation.create(self.as_sent(record["Properties"]), record["LogicalId"])

    def _pseudo_parameters(self) -> Mapping[str, str]:
        values = {"AccountId": self.sandbox.account, "Region": "us-east-1", "URLSuffix": "amazonaws.com"}
        return {f"AWS::{name}": value for name, value in {"Partition": "aws", "StackName": "Stack", **values}.items()}

    def _registry(self) -> str:
        described = self.sandbox.client("ecr-public").describe_repositories(repositoryNames=[UPSTREAM])
        uri: str = described["repositories"][0]["repositoryUri"]
        return uri.removesuffix(f"/{UPSTREAM}")

    def _secret(self) -> str:
        arn: str = self.sandbox.client("secretsmanager").describe_secret(SecretId="login")["ARN"]
        return arn

    def _key(self) -> str:
        made = self.sandbox.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        arn: str = made["KeyMetadata"]["Arn"]
        return arn

    def prepare(self, records: Iterable[Record]) -> None:
        """Create what the declarations of *records* name."""
        client = self.sandbox.client("ecr-public")
        for name, tag in {REPOSITORY: "build-1", UPSTREAM: "3"}.items():
            client.create_repository(repositoryName=name)
            push_image(self.sandbox, name, IMAGE, [tag])
        user, _, password = self._login("ecr-public").partition(":")
        login = json.dumps({"username": user, "password": password})
        self.sandbox.client("secretsmanager").create_secret(Name="login", SecretString=login)
        sources = [self.as_sent(record["Properties"])["Source"] for record in records]
        for place in [place for source in sources for place in source.values() if "Bucket" in place]:
            self._put(place["Bucket"], place["Key"])
        for place in [source["Image"] for source in sources if ".dkr.ecr." in str(source.get("Image"))]:
            self._push_privately(place["Reference"].partition("/")[2])

    def _put(self, bucket: str, key: str) -> None:
        content = declarations.archive() if key.endswith(".tar") else declarations.large_manifest().encode()
        client = self.sandbox.client("s3")
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key=key, Body=content)

    def _push_privately(self, image: str) -> None:
        name, _, tag = image.partition("@")[0].partition(":")
        if name not in {
            each["repositoryName"] for each in self.sandbox.client("ecr").describe_repositories()["repositories"]
        }:
            self.sandbox.client("ecr").create_repository(repositoryName=name)
            self.sandbox.scans.add(ImageScan(repository=name))
        push(f"{self.sandbox.registry_host}/{name}", IMAGE, [tag] if tag else [], login=self._login("ecr"))

    def _login(self, service: str) -> str:
        data = self.sandbox.client(service).get_authorization_token()["authorizationData"]
        token: str = (data[0] if service == "ecr" else data)["authorizationToken"]
        return base64.b64decode(token).decode()


@contextmanager
def world(records: Iterable[Record], set_variable: Callable[[str, str], object]) -> Iterator[World]:
    """Run an account with what *records* name; *set_variable* sets environment variables for the handler's clients."""
    with (
        SandboxProcess() as sandbox,
        control_plane() as plane,
        answer_address() as address,
        contextlib.closing(Lambda()) as function,
    ):
        for name, value in {**sandbox.environment(), **plane.environment()}.items():
            set_variable(name, value)
        world = World(sandbox, CloudFormation(function, address))
        world.prepare(records)
        yield world


def write(version: str) -> None:
    """Write the records of *version*: what the current library renders and responds."""
    folder = RELEASED / version
    folder.mkdir(parents=True, exist_ok=True)
    records = {kind: rendered(kind) for kind in DECLARATIONS}
    with world(records.values(), os.environ.__setitem__) as account:
        for kind, record in records.items():
            answer = account.create(record)
            assert answer.succeeded, f"{kind}: {answer.reason}"
            answered = {"PhysicalResourceId": answer.physical_id, "ImageDigest": answer.data["ImageDigest"]}
            _write(folder / f"{kind}.json", {**record, "Answer": answered})
    _write(folder / f"{STACKS}.json", rendered_stacks())


def _write(path: Path, record: Record) -> None:
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main(version: str) -> None:
    """Write the records of a version that is not released."""
    tags = subprocess.run(["git", "tag", "--list", f"v{version}"], cwd=CHECKOUT, capture_output=True, check=True)
    if tags.stdout:
        sys.exit(f"{version} is released: what it recorded never changes; begin the next version in pyproject.toml")
    write(version)


if __name__ == "__main__":
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    main(*sys.argv[1:] or [project["version"]])

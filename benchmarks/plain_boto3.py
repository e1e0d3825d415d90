"""
A simple retag with boto3: one attempt, without checks and without an undo.

It shows what Python and boto3 cost alone. It accepts our properties, but only
the source ``Digest``.
"""

from __future__ import annotations

import json
from typing import Any

import boto3
import urllib3

pool = urllib3.PoolManager()
client: Any = boto3.client("ecr-public", region_name="us-east-1")


def handler(event: dict[str, Any], _context: object) -> None:
    """Serve one request of CloudFormation."""
    properties = event["ResourceProperties"]
    repository, digest = properties["RepositoryName"], properties["Source"]["Digest"]
    uri = client.describe_repositories(repositoryNames=[repository])["repositories"][0]["repositoryUri"]
    manifest = _manifest(uri, digest)
    for tag in properties["ImageTags"]:
        client.put_image(
            repositoryName=repository,
            imageTag=tag,
            imageDigest=digest,
            imageManifest=manifest.data.decode(),
            imageManifestMediaType=manifest.headers["Content-Type"],
        )
    answer = {
        "Status": "SUCCESS",
        "PhysicalResourceId": f"{repository}:{event['LogicalResourceId']}",
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    pool.request("PUT", event["ResponseURL"], body=json.dumps(answer), headers={"Content-Type": ""})


def _manifest(uri: str, digest: str) -> urllib3.BaseHTTPResponse:
    host, _, path = uri.partition("/")
    password = client.get_authorization_token()["authorizationData"]["authorizationToken"]
    token = pool.request("GET", f"http://{host}/token/", headers={"Authorization": f"Basic {password}"}).json()["token"]
    accept = "application/vnd.oci.image.manifest.v1+json"
    return pool.request(
        "GET",
        f"http://{host}/v2/{path}/manifests/{digest}",
        headers={"Authorization": f"Bearer {token}", "Accept": accept},
    )

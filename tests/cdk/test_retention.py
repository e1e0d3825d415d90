"""Lifecycle rules of a public repository, with the real cdk command line: a report, a removal, and the schedule."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from cdk_ecrpublic.sandbox.images import Image, build_image, push_image

from .conftest import Project, environment

pytestmark = pytest.mark.cdk

INDEX = "application/vnd.oci.image.index.v1+json"

IMPORTS = """\
from aws_cdk import Duration
from aws_cdk import aws_ecr as ecr, aws_events as events
from cdk_ecrpublic import PublicRepositoryRetention, RetentionMode
"""


def retention(mode: str, *, keep: int = 2, every: str = "Duration.days(1)") -> str:
    return f"""
retention = PublicRepositoryRetention(
    self, "Retention",
    repository=repository,
    lifecycle_rules=[ecr.LifecycleRule(tag_prefix_list=["build-"], max_image_count={keep})],
    mode=RetentionMode.{mode},
    min_age=Duration.seconds(0),
    schedule=events.Schedule.rate({every}),
)
CfnOutput(self, "Function", value=retention.function.function_name)
CfnOutput(self, "Bucket", value=retention.bucket.bucket_name)
"""


def outputs(project: Project) -> dict[str, str]:
    (stack,) = project.sandbox.client("cloudformation").describe_stacks(StackName="Test")["Stacks"]
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


def invoke(project: Project) -> dict[str, Any]:
    """Invoke the function with the event of the schedule, and return the counts."""
    rules = project.sandbox.client("events")
    (rule,) = [each for each in rules.list_rules()["Rules"] if project.repository in each.get("Description", "")]
    (target,) = rules.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    answer = project.sandbox.client("lambda").invoke(
        FunctionName=outputs(project)["Function"], Payload=target["Input"].encode()
    )
    result = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, result
    return dict(result)


def command(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["cdk-ecrpublic", *arguments],
        cwd=project.folder,
        env=environment(project.sandbox),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def report(project: Project, uri: str) -> dict[str, Any]:
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    return dict(json.loads(project.sandbox.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()))


def builds(project: Project, count: int) -> list[Image]:
    return [project.push(f"build {number}", f"build-{number}") for number in range(count)]


def digests(project: Project) -> set[str]:
    pages = project.sandbox.client("ecr-public").get_paginator("describe_images")
    found = pages.paginate(repositoryName=project.repository)
    return {each["imageDigest"] for page in found for each in page["imageDetails"]}


def test_a_report_is_reviewed_and_then_images_are_removed(project: Project) -> None:
    images = builds(project, 5)
    declared = f'PublicImage(self, "Release", repository=repository, source=ImageSource.digest("{images[0].digest}"), '
    declared += 'tags=["1.0"])\n'
    project.write_app(IMPORTS + declared + retention("REPORT"))
    project.deploy()

    counts = invoke(project)
    listed = {each["digest"]: each for each in report(project, counts["report"])["images"]}

    assert (counts["images"], counts["expired"], counts["removed"], counts["unreadable"]) == (15, 6, 0, 0)
    first, second = listed[images[0].digest], listed[images[1].digest]
    assert first["decision"] == "keep"
    assert re.fullmatch(r"us-east-1\.Test\.Release[0-9A-F]{8} declares it", first["reason"])
    assert second["decision"] == "expire"
    assert second["reason"] == "rule 1 (images with a tag build-*, keep 2)"
    assert len(digests(project)) == 15

    project.write_app(IMPORTS + declared + retention("DELETE"))
    project.deploy()
    counts = invoke(project)

    assert counts["removed"] == 6
    stay = [images[0], *images[3:]]
    assert digests(project) == {each for image in stay for each in (image.digest, *(x.digest for x in image.children))}
    assert invoke(project)["expired"] == 0


def test_the_command_line_makes_the_same_decision(project: Project) -> None:
    images = builds(project, 3)
    project.write_app(IMPORTS + retention("REPORT"))
    project.deploy()
    function = {each["digest"]: each["reason"] for each in report(project, invoke(project)["report"])["images"]}

    outcomes = []
    for what in ("cdk.out", project.repository):
        result = command(project, "retention", what, "--format", "json")
        assert result.returncode == 0, result.stderr
        (found,) = json.loads(result.stdout)
        outcomes.append({each["digest"]: each["reason"] for each in found["images"]})
    text = command(project, "retention", "--expiring")
    markdown = command(project, "retention", "--format", "markdown").stdout.splitlines()

    assert outcomes == [function, function]
    assert re.search(r"^expires +build-0 +0 days old, ", text.stdout, re.MULTILINE)
    assert f"{project.repository}: 9 images, 3 expire" in text.stdout
    assert images[0].digest in function
    assert markdown[0].startswith(f"### Retention: {project.repository}: 9 images, 3 expire (")
    assert markdown[2:4] == ["| | image | age and size | why |", "|---|---|---|---|"]
    (expired,) = [line for line in markdown if "`build-0`" in line]
    assert re.fullmatch(
        r"\| ❌ expires \| `build-0` \| 0 days old, .* \| rule 1 \(images with a tag build-\\\*, keep 2\) \|", expired
    )
    assert len(markdown) == 4 + len(function) + 1


@dataclass
class Large:
    """A repository with 300 images, whose manifests differ only in an annotation."""

    project: Project
    base: Image
    number: int = 0
    size: int = 0

    @classmethod
    def fill(cls, project: Project) -> Large:
        """
        Push nightly builds for two platforms with signatures, releases with an SBOM each, and images without tags.

        60 indexes with two children and a signature, 10 releases with an SBOM, 40 others.
        """
        base = build_image({"etc/name": b"base"})
        push_image(project.sandbox, project.repository, base)
        project.sandbox.client("ecr-public").batch_delete_image(
            repositoryName=project.repository, imageIds=[{"imageDigest": base.digest}]
        )
        large = cls(project, base)
        for number in range(60):
            children = [large.put() for _ in range(2)]
            listed = [{"mediaType": base.media_type, "digest": each, "size": large.size} for each in children]
            index = large.put(f"nightly-{number:02}", mediaType=INDEX, config=None, layers=None, manifests=listed)
            large.put(f"sha256-{index.removeprefix('sha256:')}.sig")
        for _ in range(40):
            large.put()
        for number in range(10):
            release = large.put(f"1.{number}.0")
            large.put(subject={"mediaType": base.media_type, "digest": release, "size": large.size})
        return large

    def put(self, tag: str = "", **changes: object) -> str:
        """Put one more image, and return its digest."""
        self.number += 1
        annotations = {"number": f"{self.number:04}"}
        data = {**json.loads(self.base.manifest), "annotations": annotations, **changes}
        text = json.dumps({name: value for name, value in data.items() if value is not None})
        self.size = len(text)
        put = self.project.sandbox.client("ecr-public").put_image(
            repositoryName=self.project.repository,
            imageManifest=text,
            imageManifestMediaType=str(data["mediaType"]),
            **({"imageTag": tag} if tag else {}),
        )
        return str(put["image"]["imageId"]["imageDigest"])


LARGE = """
retention = PublicRepositoryRetention(
    self, "Retention",
    repository=repository,
    lifecycle_rules=[
        ecr.LifecycleRule(tag_prefix_list=["nightly-"], max_image_count=50),
        ecr.LifecycleRule(tag_pattern_list=["1.*"], max_image_count=4),
        ecr.LifecycleRule(tag_status=ecr.TagStatus.UNTAGGED, max_image_count=30),
    ],
    mode=RetentionMode.{mode},
    min_age=Duration.seconds(0),
)
CfnOutput(self, "Function", value=retention.function.function_name)
CfnOutput(self, "Bucket", value=retention.bucket.bucket_name)
"""


def test_a_repository_with_300_images_is_reported_and_cleaned_up(project: Project) -> None:
    Large.fill(project)
    declared = 'PublicImage(self, "Release", repository=repository, source=ImageSource.tag("1.2.0"), tags=["stable"])\n'
    project.write_app(IMPORTS + declared + LARGE.format(mode="REPORT"))
    project.deploy()
    assert len(digests(project)) == 300

    lines = command(project, "retention").stdout.splitlines()
    function = {each["digest"]: each for each in report(project, invoke(project)["report"])["images"]}

    assert lines[-1].startswith(f"{project.repository}: 300 images, 60 expire (")
    reasons = Counter(SHORT.sub("…", line.strip()) for line in lines[1:-1:2])
    assert reasons == Counter(each["reason"] for each in map(shortened, function.values()))
    assert reasons == REASONS
    assert sum(line.startswith("expires sha256-") and line.endswith(" bytes") for line in lines) == 10

    project.write_app(IMPORTS + declared + LARGE.format(mode="DELETE"))
    project.deploy()
    removal = invoke(project)

    assert (removal["removed"], removal["pending"], removal["problem"]) == (60, 0, "")
    expired = {each for each, found in function.items() if found["decision"] == "expire"}
    assert digests(project) == function.keys() - expired
    assert (
        command(project, "retention").stdout.splitlines()[-1] == f"{project.repository}: 240 images, 0 expire (0 bytes)"
    )


SHORT = re.compile(r"(?:nightly-\d\d|1\.\d\.0) \(sha256:[0-9a-f]{12}\)")

REASONS = {
    "rule 1 (images with a tag nightly-*, keep 50)": 10,
    "it goes with …, which lists it": 20,
    "it goes with …, which it is attached to": 15,
    "rule 2 (images with a tag 1.*, keep 4)": 5,
    "rule 3 (images without a tag, keep 30)": 10,
    "… lists it": 100,
    "it is attached to …": 55,
    "no rule expires it": 84,
    "us-east-1.Test.Release6218179A declares it": 1,
}


def shortened(image: dict[str, Any]) -> dict[str, Any]:
    return {**image, "reason": SHORT.sub("…", image["reason"])}


def test_the_schedule_runs_the_function(project: Project) -> None:
    builds(project, 3)
    project.write_app(IMPORTS + retention("DELETE", keep=1, every="Duration.minutes(1)"))
    project.deploy()

    until = time.monotonic() + 110
    while len(digests(project)) > 3 and time.monotonic() < until:
        time.sleep(2)

    assert set(project.tags()) == {"build-2"}

"""Rules that read more than the image: properties, permissions, and refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, cast

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk.assertions import Template

from cdk_ecrpublic import (
    IgnoredFinding,
    IImageSource,
    ImageSource,
    IReleaseRule,
    PublicImage,
    PublicRepository,
    ReleaseRule,
)

DIGEST = f"sha256:{'a' * 64}"
MANIFEST = '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}'
SCAN = "ecr:DescribeImageScanFindings"
INSPECTOR = {"inspector2:ListCoverage", "inspector2:ListFindings"}
PAST = IgnoredFinding("CVE-2025-0001", reason="not reachable", until="2020-01-01")

Source = Callable[[Stack], IImageSource]


def private(name: str = "builds/agent") -> Source:
    def make(stack: Stack) -> IImageSource:
        repository = ecr.Repository.from_repository_arn(
            stack, name.replace("/", "-"), f"arn:aws:ecr:eu-west-1:123456789012:repository/{name}"
        )
        return ImageSource.ecr(repository, digest=DIGEST)

    return make


def declared(source: Source, rules: Sequence[IReleaseRule]) -> Stack:
    stack = Stack(App(), "Stack")
    repository = PublicRepository.from_repository_name(stack, "Agent", "acme/agent")
    PublicImage(stack, "Release", repository=repository, source=source(stack), tags=["1.4.2"], rules=rules)
    return stack


def properties(stack: Stack) -> dict[str, Any]:
    (resource,) = Template.from_stack(stack).find_resources("Custom::ECRPublicImage").values()
    return cast("dict[str, Any]", resource["Properties"])


def allowed(stack: Stack) -> dict[str, list[Any]]:
    """Return the resources of each action."""
    found: dict[str, list[Any]] = {}
    for policy in Template.from_stack(stack).find_resources("AWS::IAM::Policy").values():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            actions, resources = statement["Action"], statement["Resource"]
            for action in actions if isinstance(actions, list) else [actions]:
                found.setdefault(action, []).extend(resources if isinstance(resources, list) else [resources])
    return found


def test_the_value_of_a_rule_has_only_the_given_options() -> None:
    stack = declared(private(), [ReleaseRule.required_referrers(["sbom"]), ReleaseRule.scan_findings("HIGH")])

    assert properties(stack)["RequiredReferrers"] == {"Types": ["sbom"]}
    assert properties(stack)["ScanFindings"] == {"MaxSeverity": "HIGH"}


def test_renders_every_option() -> None:
    ignored = IgnoredFinding("CVE-2099-0001", reason="not reachable", until=date(2099, 12, 31))
    rules = [
        ReleaseRule.required_referrers(["sbom", "https://slsa.dev/provenance/*"], each_platform=True, warn_only=True),
        ReleaseRule.scan_findings(
            "NONE",
            only_fixable=True,
            allow_unrated=True,
            ignore=[ignored],
            max_age=Duration.hours(36),
            allow_states=["UNSUPPORTED_IMAGE"],
            inspector=True,
            warn_only=True,
        ),
    ]

    found = properties(declared(private(), rules))

    assert found["RequiredReferrers"] == {"Types": ["sbom", "https://slsa.dev/provenance/*"], "EachPlatform": True}
    assert found["ScanFindings"] == {
        "MaxSeverity": "NONE",
        "OnlyFixable": True,
        "AllowUnrated": True,
        "Ignore": [{"Name": "CVE-2099-0001", "Reason": "not reachable", "Until": "2099-12-31"}],
        "MaxAgeSeconds": 129_600,
        "AllowStates": ["UNSUPPORTED_IMAGE"],
    }
    assert found["WarnOnly"] == ["RequiredReferrers", "ScanFindings"]


def test_the_function_may_read_only_the_scans_of_the_source() -> None:
    stack = declared(private(), [ReleaseRule.scan_findings("HIGH")])

    assert allowed(stack)[SCAN] == ["arn:aws:ecr:eu-west-1:123456789012:repository/builds/agent"]
    assert not INSPECTOR & allowed(stack).keys()
    assert SCAN not in allowed(declared(private(), []))


def test_findings_of_inspector_need_two_more_permissions() -> None:
    stack = declared(private(), [ReleaseRule.scan_findings("HIGH", inspector=True)])

    assert {action: allowed(stack)[action] for action in INSPECTOR} == {key: ["*"] for key in INSPECTOR}


def test_the_function_may_read_the_private_parts_of_an_index() -> None:
    def source(stack: Stack) -> IImageSource:
        arm = ImageSource.index({"linux/arm64": private("builds/arm")(stack)})
        images = {"linux/amd64": private("builds/amd")(stack), "linux/arm64": arm}
        return ImageSource.index({**images, "linux/s390x": ImageSource.digest(DIGEST)})

    stack = declared(source, [ReleaseRule.scan_findings("HIGH")])

    names = [str(arn).rpartition("/")[2] for arn in allowed(stack)[SCAN]]
    assert sorted(names) == ["amd", "arm"]


def test_the_function_may_read_the_scans_of_an_asset_in_private_ecr(tmp_path: Any) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")

    def source(stack: Stack) -> IImageSource:
        return ImageSource.docker_asset(ecr_assets.DockerImageAsset(stack, "Asset", directory=str(tmp_path)))

    assert len(allowed(declared(source, [ReleaseRule.scan_findings("HIGH")]))[SCAN]) == 1


def test_reads_required_referrers_with_a_login() -> None:
    login = "ecr-public:GetAuthorizationToken"

    assert login not in allowed(declared(lambda _: ImageSource.manifest(MANIFEST), []))
    assert login in allowed(
        declared(lambda _: ImageSource.manifest(MANIFEST), [ReleaseRule.required_referrers(["sbom"])])
    )


@pytest.mark.parametrize(
    "source",
    [
        lambda _: ImageSource.digest(DIGEST),
        lambda _: ImageSource.registry(f"123456789012.dkr.ecr.us-east-1.amazonaws.com/acme/agent@{DIGEST}"),
        lambda _: ImageSource.index({"linux/amd64": ImageSource.digest(DIGEST)}),
    ],
    ids=["digest", "registry", "index"],
)
def test_refuses_scan_findings_of_another_source_with_a_remedy(source: Source) -> None:
    with pytest.raises(
        ValueError, match=r"Stack/Release: ReleaseRule.scan_findings: .* not in private ECR.*use ImageSource.ecr or "
    ):
        declared(source, [ReleaseRule.scan_findings("HIGH")])


def test_warns_about_an_ignored_finding_that_has_expired() -> None:
    """This is not an error, because an old revision must still be deployable."""
    future = IgnoredFinding("CVE-2099-0001", reason="not reachable", until="2999-12-31")

    def warnings(*ignored: IgnoredFinding) -> list[str]:
        stack = declared(private(), [ReleaseRule.scan_findings("HIGH", ignore=ignored)])
        entries = [str(entry.data) for entry in stack.node.find_child("Release").node.metadata]
        return [entry for entry in entries if "no longer" in entry]

    (warning,) = warnings(PAST, future)
    assert warning.startswith("no longer ignored: CVE-2025-0001 (until 2020-01-01); the deployment fails if")
    assert warnings(future) == []


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: ReleaseRule.required_referrers([]), "has no types; expected at least one"),
        (lambda: ReleaseRule.required_referrers(["sbom", "attestation"]), r"required_referrers\[1\]: 'attestation' is"),
        (lambda: ReleaseRule.required_referrers(["a*/b"]), "is not the type of a referrer; expected one of sbom, spdx"),
        (lambda: ReleaseRule.required_referrers(cast("Any", "sbom")), "expected a list of types"),
        (lambda: ReleaseRule.scan_findings("high"), "max_severity: 'high' is unknown; allowed: 'NONE', 'INFORM"),
        (lambda: ReleaseRule.scan_findings(cast("Any", None)), "max_severity"),
        (lambda: ReleaseRule.scan_findings("HIGH", allow_states=["ACTIVE"]), "allow_states: 'ACTIVE' is unknown"),
        (lambda: ReleaseRule.scan_findings("HIGH", max_age=cast("Any", 7)), "max_age: .*expected a Duration"),
        (lambda: ReleaseRule.scan_findings("HIGH", max_age=Duration.millis(1)), "max_age: is shorter than a second"),
        (lambda: ReleaseRule.scan_findings("HIGH", ignore=cast("Any", ["CVE-2025-0001"])), r"ignore\[0\]: .*expected"),
        (lambda: ReleaseRule.scan_findings("HIGH", ignore=[PAST] * 201), "ignore: has 201 findings; at most 200"),
        (lambda: ReleaseRule.scan_findings("HIGH", inspector=cast("Any", "no")), "inspector: 'no' is a str"),
        (lambda: IgnoredFinding("a b", reason="x", until="2099-01-01"), "IgnoredFinding: name: 'a b' is not the name"),
        (lambda: IgnoredFinding("CVE-2025-1", reason=" ", until="2099-01-01"), "reason: ' ' is not a reason of 1 to"),
        (lambda: IgnoredFinding("CVE-2025-1", reason="x", until="2099-02-30"), "until: '2099-02-30' is not a date"),
        (lambda: IgnoredFinding("CVE-2025-1", reason="x", until="31.12.2099"), "not a date of the form YYYY-MM-DD"),
    ],
)
def test_an_error_names_the_mistake(declare: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        declare()

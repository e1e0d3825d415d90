"""
The function has the permissions to delete resources at the end of a deployment.

CloudFormation deletes what was replaced or taken out after everything else,
when the function's own policy is that of the new template already. A policy
that the new template does not have goes after what depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from aws_cdk import RemovalPolicy, Stack
from aws_cdk.assertions import Template

from cdk_ecrpublic import ImageSource, PublicImage, PublicImageProvider, PublicRepository
from tests.protocol.cloudformation import CloudFormation, answer_address
from tests.protocol.conftest import Lambda
from tests.support.clock import SteppingClock

from .conftest import IMAGE, TAGS, Aws
from .rendering import PSEUDO_PARAMETERS, new_stack, resolve

OWN_POLICY = "ECRPublicImageHandlerPolicy"

MANIFEST = IMAGE.manifest.decode() + "\n"
"""A source that takes the fewest permissions."""


def release(stack: Stack, repository: str, *, alias: str | None = None, source: Any = None) -> None:
    where = PublicRepository.from_repository_name(stack, "Repository", repository, registry_id=alias)
    source = source or ImageSource.digest(IMAGE.digest)
    PublicImage(stack, "Release", repository=where, source=source, tags=TAGS, removal_policy=RemovalPolicy.DESTROY)


def another(stack: Stack) -> None:
    where = PublicRepository.from_repository_name(stack, "Repository", "acme/copy")
    PublicImage(stack, "Another", repository=where, source=ImageSource.manifest(MANIFEST), tags=["1"])


Fill = Callable[[Stack], object]

BEFORE: Mapping[str, Callable[[str], Fill]] = {
    "digest": lambda _: lambda stack: release(stack, "acme/agent"),
    "tag": lambda _: lambda stack: release(stack, "acme/agent", source=ImageSource.tag("build")),
    "registry by its alias": lambda alias: lambda stack: release(stack, "acme/agent", alias=alias),
}
AFTER: Mapping[str, Fill] = {
    "moved": lambda stack: release(stack, "acme/copy"),
    "removed while another image stays": another,
    "removed while the function stays": lambda stack: PublicImageProvider(stack, "Provider"),
}


@dataclass(frozen=True)
class Policies:
    """
    The policies of the role, and the rendered image of a stack.

    Attributes:
        own: The function's own policy, which every deployment changes.
        others: All other policies, by logical id.
    """

    own: list[Any]
    others: Mapping[str, list[Any]]
    properties: Mapping[str, Any]

    @classmethod
    def of(cls, fill: Fill, stack_id: str) -> Policies:
        stack = new_stack()
        fill(stack)
        template, references = Template.from_stack(stack), {**PSEUDO_PARAMETERS, "AWS::StackId": stack_id}
        found = {
            name: resolve(policy["Properties"]["PolicyDocument"]["Statement"], references)
            for name, policy in template.find_resources("AWS::IAM::Policy").items()
        }
        images = template.find_resources("Custom::ECRPublicImage").values()
        properties = [{**resolve(image["Properties"], references), "ServiceToken": "arn"} for image in images]
        return cls(found.pop(OWN_POLICY), found, *(properties or [{}]))

    def replaced_by(self, later: Policies) -> list[Any]:
        """Return the statements of the role when this stack's image is finally deleted."""
        return [*later.own, *(each for one in {**self.others, **later.others}.values() for each in one)]

    @property
    def statements(self) -> list[Any]:
        return self.replaced_by(self)


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("before", BEFORE)
def test_r13_the_role_of_the_new_template_can_delete_the_old_image(
    before: str, after: str, aws: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alias = aws.uri("acme/agent").split("/")[1]
    old, new = Policies.of(BEFORE[before](alias), aws.stack_id), Policies.of(AFTER[after], aws.stack_id)
    role = aws.role(old.statements)
    for name, value in {**aws.sandbox.environment(), **aws.credentials(role)}.items():
        monkeypatch.setenv(name, value)
    with answer_address() as address:

        def send(kind: str, physical_id: str | None = None) -> str:
            # A new function each time, because a warm one has cached what a cold one must request.
            function = Lambda(clock=SteppingClock())
            cloudformation = CloudFormation(function, address, stack_id=aws.stack_id)
            answer = cloudformation.send(cloudformation.event(kind, old.properties, "Release", physical_id))
            function.close()
            assert answer.succeeded, answer.reason
            return answer.physical_id

        physical_id = send("Create")
        assert tags(aws) == {"build", *TAGS}
        aws.grant(role, old.replaced_by(new))
        send("Delete", physical_id)

    assert tags(aws) == {"build"}
    assert "ACCESS_DENIED" not in capsys.readouterr().out
    assert aws.sandbox.client("ssm").get_parameters_by_path(Path="/cdk-ecrpublic", Recursive=True)["Parameters"] == []


def tags(aws: Aws) -> set[str]:
    """Return the tags of the repository of the old image."""
    images = aws.sandbox.client("ecr-public").describe_images(repositoryName="acme/agent")["imageDetails"]
    return {tag for image in images for tag in image.get("imageTags", ())}

"""The function as a separate stack."""

from __future__ import annotations

import pytest
from aws_cdk import App
from aws_cdk.assertions import Match, Template

from cdk_ecrpublic import PublicImageProvider, PublicImageProviderStack


def actions(stack: PublicImageProviderStack) -> set[str]:
    policies = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
    statements = [each for policy in policies for each in policy["Properties"]["PolicyDocument"]["Statement"]]
    lists = [each["Action"] if isinstance(each["Action"], list) else [each["Action"]] for each in statements]
    return {action for one in lists for action in one}


def test_exports_the_service_token() -> None:
    """Other templates import this name, so it must never change."""
    stack = PublicImageProviderStack(App(), "Images", repositories=["acme/agent"])

    Template.from_stack(stack).has_output(
        "ServiceToken",
        {"Value": {"Fn::GetAtt": ["ECRPublicImageHandler", "Arn"]}, "Export": {"Name": "ECRPublicImageHandlerArn"}},
    )


def test_the_function_may_publish_to_its_repositories() -> None:
    keeping = PublicImageProviderStack(App(), "Images", repositories=["acme/agent", "acme/other"])
    removing = PublicImageProviderStack(App(), "Images", repositories=["acme/agent"], removes=True)

    assert {"ecr-public:PutImage", "ecr-public:UploadLayerPart", "ssm:PutParameter"} <= actions(keeping)
    assert actions(removing) - actions(keeping) == {"ecr-public:BatchDeleteImage"}


def test_accepts_options_for_the_function() -> None:
    stack = PublicImageProviderStack(
        App(),
        "Images",
        repositories=["acme/agent"],
        make_provider=lambda scope: PublicImageProvider(scope, "Provider", memory_size=1024),
    )

    Template.from_stack(stack).has_resource_properties("AWS::Lambda::Function", Match.object_like({"MemorySize": 1024}))


@pytest.mark.parametrize("names", [[], "acme/agent", ["Acme"]], ids=str)
def test_refuses_invalid_names(names: list[str]) -> None:
    with pytest.raises(Exception, match=r"Images"):
        PublicImageProviderStack(App(), "Images", repositories=names)

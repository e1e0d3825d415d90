"""Secrets that do not name their registry."""

from __future__ import annotations

import json

import pytest
from aws_cdk import Annotations, App, SecretValue, Stack, assertions
from aws_cdk import aws_secretsmanager as secretsmanager

from cdk_ecrpublic import ImageSource, PublicImage, PublicRepository

from .messages import warnings

DIGEST = "sha256:" + "a" * 64
SAID = assertions.Match.string_like_regexp("it is not known whether this secret names the registry")


def declare(stack: Stack, secret: secretsmanager.ISecret, *names: str) -> None:
    repository = PublicRepository.from_repository_name(stack, "Agent", "acme/agent")
    for name in names:
        source = ImageSource.registry(f"ghcr.io/acme/{name}@{DIGEST}", credentials=secret)
        PublicImage(stack, name, repository=repository, source=source, tags=[name])


def test_warns_once_about_a_secret_that_may_not_name_its_registry() -> None:
    stack = Stack(App())

    declare(stack, secretsmanager.Secret.from_secret_name_v2(stack, "Login", "ghcr"), "a", "b")

    assert [text for text in warnings(stack) if "names the registry" in text] != []
    assert len(warnings(stack)) == 1


def test_the_warning_can_be_acknowledged() -> None:
    stack = Stack()
    Annotations.of(stack).acknowledge_warning("@cdk-ecrpublic:credentialsRegistry", "it does")

    declare(stack, secretsmanager.Secret.from_secret_name_v2(stack, "Login", "ghcr"), "a")

    assertions.Annotations.from_stack(stack).has_no_warning("*", SAID)


@pytest.mark.parametrize(
    ("value", "warns"),
    [({"username": "me", "registry": "ghcr.io"}, False), ({"username": "me"}, True), ({}, True)],
)
@pytest.mark.parametrize("generated", [False, True])
def test_checks_the_content_of_a_secret_that_the_app_creates(
    value: dict[str, str],
    warns: bool,  # noqa: FBT001 - a table
    generated: bool,  # noqa: FBT001 - a table
) -> None:
    stack = Stack()
    template = secretsmanager.SecretStringGenerator(
        generate_string_key="password", secret_string_template=json.dumps(value)
    )
    texts = {name: SecretValue.unsafe_plain_text(text) for name, text in value.items()}
    secret = (
        secretsmanager.Secret(stack, "Login", generate_secret_string=template)
        if generated
        else secretsmanager.Secret(stack, "Login", secret_object_value=texts)
    )

    declare(stack, secret, "a")

    annotations = assertions.Annotations.from_stack(stack)
    (annotations.has_warning if warns else annotations.has_no_warning)("*", SAID)

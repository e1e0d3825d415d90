"""The function in a separate stack, for images that are declared in other languages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aws_cdk import CfnOutput, Environment, Stack
from constructs import Construct

from ._function import FUNCTION_LOGICAL_ID
from ._iam.actions import (
    FIRST_RECORD_ACTIONS,
    RECORD_READ_ACTIONS,
    RECORD_WRITE_ACTIONS,
    REMOVAL_ACTIONS,
    STATUS_ACTIONS,
)
from ._records import PARAMETER_ROOT, RECORD_REGION, RECORD_ROOT
from ._signature import shows_parameters
from ._validation.values import check_flag, check_instance, check_list, check_text, refuse
from .provider import PublicImageProvider, provider_of
from .public_repository import IPublicRepository, PublicRepository

EXPORT_NAME = f"{FUNCTION_LOGICAL_ID}Arn"
"""Never changes, because other templates import it."""


@shows_parameters
class PublicImageProviderStack(Stack):
    """
    A stack that contains only the function, and exports its ARN as ``ECRPublicImageHandlerArn``.

    Raw CloudFormation, SAM and apps in other languages declare
    ``Custom::ECRPublicImage`` with this ARN as the ``ServiceToken``. This stack
    cannot see their declarations, so you list the repositories here. The function
    may publish to *repositories*, read images of ECR Public, and keep records. If
    sources need more permissions, grant them to ``provider``:

    ```python
    stack = PublicImageProviderStack(app, "Images", repositories=["acme/agent"])
    secret.grant_read(stack.provider)
    ```

    Args:
        repositories: The names of repositories in the stack's account. At least one.
        removes: Whether tags and images may be removed from them. Default: False.
        make_provider: Creates the provider, for example ``lambda scope:
            PublicImageProvider(scope, "Provider", memory_size=1024)``.
            Default: a provider with the defaults.
        env: The account and Region of the stack. Default: those of the command line.
        description: The description of the stack.

    Raises:
        ValueError: There is no name, a name is malformed, or an option has the
            wrong type.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        repositories: Sequence[str],
        removes: bool = False,
        make_provider: Callable[[Construct], PublicImageProvider] | None = None,
        env: Environment | None = None,
        description: str = "Publishes images to Amazon ECR Public for Custom::ECRPublicImage",
    ) -> None:
        if env is not None:
            # jsii accepts a mapping for a struct.
            expected = "an Environment(account=…, region=…)"
            check_instance(f"{construct_id}: env", env, (Environment, dict), expected)
        check_text(f"{construct_id}: description", description)
        super().__init__(scope, construct_id, env=env, description=description)
        path = self.node.path
        check_list(f"{path}: repositories", repositories, "names, e.g. ['acme/agent']")
        if not repositories:
            refuse(f"{path}: repositories", "is empty; expected a list of names, e.g. ['acme/agent']")
        for number, name in enumerate(repositories):
            check_text(f"{path}: repositories[{number}]", name)
        check_flag(f"{path}: removes", removes)
        self.provider = provider_of(f"{path}: make_provider", make_provider, self)
        self.provider.allow_reading()
        self.provider.allow(STATUS_ACTIONS, self.format_arn(service="cloudformation", resource="stack/*"))
        # The names of the other stacks are not known here.
        records = self._parameter(f"{RECORD_ROOT}/*", RECORD_REGION)
        self.provider.allow(RECORD_READ_ACTIONS, records)
        self.provider.allow(RECORD_WRITE_ACTIONS, records)
        for name in repositories:
            self._allow(PublicRepository.from_repository_name(self, name.replace("/", "."), name), removes=removes)
        CfnOutput(self, "ServiceToken", value=self.provider.service_token, export_name=EXPORT_NAME)

    def _allow(self, repository: IPublicRepository, *, removes: bool) -> None:
        self.provider.allow_publishing(repository, copies=True)
        path = f"{PARAMETER_ROOT}/{repository.repository_name}"
        self.provider.allow(FIRST_RECORD_ACTIONS, self._parameter(f"{path}/*"))
        if removes:
            self.provider.allow(REMOVAL_ACTIONS, repository.repository_arn)

    def _parameter(self, name: str, region: str | None = None) -> str:
        return self.format_arn(service="ssm", region=region, resource="parameter", resource_name=name)

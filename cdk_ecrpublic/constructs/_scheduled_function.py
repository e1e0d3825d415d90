"""A function that schedules invoke, and that all constructs of one kind in a stack share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from ._function import handler_code
from ._iam.actions import LOG_ACTIONS
from .provider import STATEMENT_MAX_RESOURCES


class ScheduledFunction(Construct):
    """The function, role and log group of one kind of construct; one for each stack."""

    ID: ClassVar[str]
    """The id of the construct in the stack."""
    PACKAGE: ClassVar[str]
    """The package of the handler that has the entry point."""
    DESCRIPTION: ClassVar[str]
    MEMORY_MIB: ClassVar[int]
    TIMEOUT_MINUTES: ClassVar[int]

    def __init__(self, scope: Construct) -> None:
        super().__init__(scope, self.ID)
        log_group = logs.LogGroup(
            self, "Logs", retention=logs.RetentionDays.THREE_MONTHS, removal_policy=RemovalPolicy.DESTROY
        )
        self._role = iam.Role(
            self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"), description=self.DESCRIPTION
        )
        self.function = lambda_.Function(
            self,
            "Function",
            description=self.DESCRIPTION,
            code=handler_code(),
            handler=f"lambda_handler.{self.PACKAGE}.entrypoint.handler",
            runtime=lambda_.Runtime.PYTHON_3_14,
            architecture=lambda_.Architecture.ARM_64,
            memory_size=self.MEMORY_MIB,
            timeout=Duration.minutes(self.TIMEOUT_MINUTES),
            role=self._role,
            log_group=log_group,
        )
        self.allow(LOG_ACTIONS, [log_group.log_group_arn])

    @classmethod
    def of(cls, scope: Construct) -> Self:
        """Return the function of the stack of *scope*; create it if there is none."""
        stack = Stack.of(scope)
        # A construct is a Python object of this process, so it finds itself by an attribute of the stack.
        attribute = f"_cdk_ecrpublic_{cls.PACKAGE}"
        found: Self | None = getattr(stack, attribute, None)
        if found is None:
            found = cls(stack)
            setattr(stack, attribute, found)
        return found

    def allow(self, actions: Sequence[str], resource_arns: Sequence[str]) -> None:
        """Allow the function *actions* on resources, if there are any."""
        # The CDK does not split a statement when it spreads a large policy.
        for start in range(0, len(resource_arns), STATEMENT_MAX_RESOURCES):
            arns = list(resource_arns[start : start + STATEMENT_MAX_RESOURCES])
            self._role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=arns))

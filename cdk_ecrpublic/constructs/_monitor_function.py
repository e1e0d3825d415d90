"""The function that the monitors of a stack share, and its permissions."""

from __future__ import annotations

import jsii
from aws_cdk import IAspect, Stack
from aws_cdk import aws_ssm as ssm
from constructs import Construct, IConstruct

from ._iam.actions import (
    LOGIN_ACTIONS,
    MONITOR_ACTIONS,
    MONITOR_RECORD_ACTIONS,
    MONITOR_REPAIR_ACTIONS,
    MONITOR_STATE_ACTIONS,
    REGISTRY_ACTIONS,
    STACK_READ_ACTIONS,
)
from ._monitored_images import Selection
from ._records import PARAMETER_ROOT
from ._scheduled_function import ScheduledFunction


class MonitorFunction(ScheduledFunction):
    """The function that the monitors of a stack share."""

    ID = "ECRPublicMonitor"
    PACKAGE = "monitor"
    DESCRIPTION = "Compares images of Amazon ECR Public with their declarations"
    MEMORY_MIB = 256
    TIMEOUT_MINUTES = 5

    def __init__(self, scope: Construct) -> None:
        super().__init__(scope)
        # Version 0.1 kept its records in the Region of the stack.
        records = Stack.of(self).format_arn(
            service="ssm", region="*", resource="parameter", resource_name=f"{PARAMETER_ROOT}/*"
        )
        self.allow(MONITOR_RECORD_ACTIONS, [records])


@jsii.implements(IAspect)
class MonitorGrants:
    """Grants what one monitor needs, once all images are known."""

    def __init__(
        self,
        monitor: Construct,
        shared: MonitorFunction,
        selection: Selection,
        state: ssm.IStringParameter,
        *,
        repairs: bool,
    ) -> None:
        self._monitor, self._shared, self._selection = monitor, shared, selection
        self._state, self._repairs, self._is_done = state, repairs, False

    def visit(self, node: IConstruct) -> None:
        """Grant the permissions when the app is synthesized."""
        if node is not self._monitor or self._is_done or not self._selection.images:
            return
        self._is_done = True
        repositories = self._selection.repository_arns()
        self._shared.allow(MONITOR_STATE_ACTIONS, [self._state.parameter_arn])
        self._shared.allow(STACK_READ_ACTIONS, self._selection.stack_arns())
        self._shared.allow(MONITOR_ACTIONS, repositories)
        self._shared.allow(REGISTRY_ACTIONS, self._selection.registry_arns())
        if self._repairs:
            self._shared.allow(MONITOR_REPAIR_ACTIONS, repositories)
            self._shared.allow(LOGIN_ACTIONS, ["*"])

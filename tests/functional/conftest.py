"""The real handler between CloudFormation's simulator and the sandbox, as a stack."""

from __future__ import annotations

import pytest

from tests.protocol.cloudformation import CloudFormation
from tests.protocol.conftest import cloudformation, function, plane, registry, running_plane
from tests.support.control_plane import ControlPlane
from tests.support.stack import Stack

__all__ = ["cloudformation", "function", "plane", "registry", "running_plane"]


@pytest.fixture
def stack(cloudformation: CloudFormation, plane: ControlPlane) -> Stack:
    return Stack(cloudformation, plane=plane)

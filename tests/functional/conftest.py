"""The real handler between CloudFormation's simulator and the sandbox, as a stack."""

from __future__ import annotations

import pytest

from tests.protocol.cloudformation import CloudFormation
from tests.protocol.conftest import cloudformation, function, registry
from tests.support.stack import Stack

__all__ = ["cloudformation", "function", "registry"]


@pytest.fixture
def stack(cloudformation: CloudFormation) -> Stack:
    return Stack(cloudformation)

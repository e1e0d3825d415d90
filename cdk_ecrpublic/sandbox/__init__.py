"""
ECR Public on this machine: one store behind its API and its registry.

Example::

    with Sandbox() as sandbox:
        ecr = sandbox.client("ecr-public")
        ecr.create_repository(repositoryName="acme/agent")
        sandbox.faults.add(Fault(operation="PutImage", code="ThrottlingException"))

``Sandbox`` runs in a thread of this process and has ECR Public only;
``SandboxProcess`` has the rest of AWS behind it.
"""

from __future__ import annotations

from .faults import Fault
from .process import SandboxProcess
from .server import Sandbox, SandboxError
from .settings import Settings

__all__ = ["Fault", "Sandbox", "SandboxError", "SandboxProcess", "Settings"]

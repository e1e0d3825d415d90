"""
An emulator of ECR Public on this machine: one store behind the control-plane API and the registry API.

Example::

    with Sandbox() as sandbox:
        ecr = sandbox.client("ecr-public")
        ecr.create_repository(repositoryName="acme/agent")
        sandbox.faults.add(Fault(operation="PutImage", code="ThrottlingException"))

``Sandbox`` runs ECR Public in a thread of this process. ``SandboxProcess`` also
emulates the rest of AWS, in a process of its own.
"""

from __future__ import annotations

from .faults import Fault
from .process import SandboxProcess
from .scans import ImageScan, ScanFinding
from .server import Sandbox, SandboxError
from .settings import Settings

__all__ = ["Fault", "ImageScan", "Sandbox", "SandboxError", "SandboxProcess", "ScanFinding", "Settings"]

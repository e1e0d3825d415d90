"""CloudFormation's custom resource protocol. Knows nothing about images."""

from .event import Event, RequestType
from .lifecycle import Resource, refuse, respond
from .response import Response, Status, deliver
from .waiting import Waiting

__all__ = ["Event", "RequestType", "Resource", "Response", "Status", "Waiting", "deliver", "refuse", "respond"]

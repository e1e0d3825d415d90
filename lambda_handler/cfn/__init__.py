"""CloudFormation's custom resource protocol. Knows nothing about images."""

from .delivery import deliver
from .event import Event, RequestType
from .lifecycle import Outcome, Resource, refuse, respond
from .response import Response, Status

__all__ = ["Event", "Outcome", "RequestType", "Resource", "Response", "Status", "deliver", "refuse", "respond"]

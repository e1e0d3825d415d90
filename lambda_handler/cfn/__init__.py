"""CloudFormation's custom resource protocol. Knows nothing about images."""

from .delivery import deliver
from .event import Event
from .lifecycle import Outcome, Resource, respond
from .response import Response, Status

__all__ = ["Event", "Outcome", "Resource", "Response", "Status", "deliver", "respond"]

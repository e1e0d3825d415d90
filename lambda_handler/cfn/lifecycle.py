"""
The lifecycle of a custom resource. Every path through this module ends in one response.

- A failed Create responds with a marker as the physical id, so that the Delete
  that follows can be recognized. With a real id, that Delete would remove what
  the failed Create never created.
- A failed Update or Delete responds with the physical id of the request.
  CloudFormation would take any other id for a replacement and delete the old one.
- A Delete with an id that is not ours is for a resource whose Create failed, or
  whose response was late, so that CloudFormation generated an id. It undoes
  what that Create did.
"""

from __future__ import annotations

import threading
from typing import Protocol

from ..clock import Deadline
from ..errors import DeadlineError, ImageError
from ..log import Log
from .event import Event, RequestType
from .response import Response, Status

GRACE_SECONDS = 1.0
"""What a request without any time left still gets from the reserve for the response; enough for most Deletes."""

CREATE_FAILED = "create-failed:"
"""The prefix of the physical id of a resource whose Create failed. CDK's own markers start with ``AWSCDK::``."""


class Resource(Protocol):
    """A kind of custom resource. Every method may raise."""

    @property
    def progress(self) -> object:
        """What was done so far and may need manual repair, as a string; empty for nothing."""

    def owns(self, physical_resource_id: str) -> bool:
        """Whether the id is one that this resource returns."""

    def create(self, event: Event) -> Response:
        """Create what the properties declare."""

    def update(self, event: Event) -> Response:
        """Change the resource to what its new properties declare."""

    def delete(self, event: Event) -> None:
        """Remove what the resource has created, as far as its properties ask for it."""


def respond(event: Event, resource: Resource, deadline: Deadline, log: Log) -> Response:
    """
    Handle *event*, and return a response in every case.

    The work runs in its own thread: a call that hangs, such as a DNS lookup
    without a timeout, must not prevent the response. A thread that is left
    behind writes nothing, because every write checks the deadline first.
    """
    box: list[Response] = []
    worker = threading.Thread(target=lambda: box.append(_handle(event, resource, log)), daemon=True)
    worker.start()
    worker.join(max(deadline.remaining, GRACE_SECONDS))
    if box:
        return box[0]
    moved = str(resource.progress)
    what = f"; moved by then, and not moved back: {moved}" if moved else ""
    hint = "deploy again; completed work is not repeated"
    return _failed(event, DeadlineError(f"ran out of time while a call did not return{what}", hint=hint), log)


def _handle(event: Event, resource: Resource, log: Log) -> Response:
    try:
        if event.request_type is RequestType.CREATE:
            return resource.create(event)
        if event.request_type is RequestType.UPDATE:
            return resource.update(event)
        resource.delete(event)
        return Response(physical_resource_id=_physical_id(event))
    except ImageError as error:
        return _failed(event, error, log)
    except Exception as error:  # noqa: BLE001 - the only catch-all: without a response CloudFormation waits for an hour
        return _failed(event, error, log)


def _failed(event: Event, error: Exception, log: Log) -> Response:
    if isinstance(error, ImageError):
        reason = error.explain()
        log.error(reason, code=error.code)
    else:
        # A bug. The message may contain anything, so only the type and the location are reported.
        reason = f"INTERNAL: {type(error).__name__} at {_location(error)}. Hint: this is a bug; please report it"
        log.error(reason, code="INTERNAL")
    return Response(status=Status.FAILED, reason=reason, physical_resource_id=_physical_id(event))


def refuse(event: Event, error: ImageError, log: Log) -> Response:
    """Return a FAILED response to *event* without doing any work."""
    return _failed(event, error, log)


def _location(error: Exception) -> str:
    """Return the module and line that raised *error*."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "an unknown place"


def _physical_id(event: Event) -> str:
    return event.physical_resource_id or f"{CREATE_FAILED}{event.logical_resource_id}"

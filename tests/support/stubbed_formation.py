"""A client of CloudFormation with given responses, which botocore checks against the service model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import botocore.session
from botocore.stub import Stubber


def stubbed_formation(region: str, responses: Sequence[tuple[str, dict[str, Any]]], denied: str = "") -> Any:
    """
    Return a client that gives *responses* in their order.

    Args:
        denied: The first request for this operation is denied, and no other follows.
    """
    client = botocore.session.get_session().create_client(
        "cloudformation", region_name=region, aws_access_key_id="a", aws_secret_access_key="b"
    )
    stubber = Stubber(client)
    for operation, response in responses:
        if operation == denied:
            stubber.add_client_error(operation, "AccessDenied")
            break
        stubber.add_response(operation, response)
    stubber.activate()
    return client

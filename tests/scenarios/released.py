"""The records of released versions, frozen here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_NOT_DECLARED = {"ServiceToken", "ServiceTimeout", "StateParameterName"}


def state_of_version_0_1(event: Mapping[str, Any], digest: str, **more: object) -> str:
    """
    Return the record that version 0.1 stored at ``StateParameterName``, in its own Region, after it had served *event*.

    Args:
        digest: The digest that the declaration was resolved to.
        more: Fields to replace.
    """
    properties = event["ResourceProperties"]
    declared = {name: value for name, value in properties.items() if name not in _NOT_DECLARED}
    key = hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:16]
    state = {
        "resource": f"ecr-public:123456789012/{properties['RepositoryName']}:{event['LogicalResourceId']}",
        "madeBy": event["RequestId"],
        "tags": properties["ImageTags"],
        "digests": {key: digest},
        "before": {"tags": {}, "images": []},
    }
    return json.dumps({**state, **more}, separators=(",", ":"))

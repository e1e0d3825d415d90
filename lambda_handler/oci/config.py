"""Parse image configs."""

from __future__ import annotations

from typing import Any

from .bounded_json import check_keys, parse_json

_CONFIG_KEYS = ("architecture", "os", "variant", "os.version", "os.features", "rootfs", "config", "history")
_ROOTFS_KEYS = ("type", "diff_ids")


def parse_config(content: bytes) -> Any:  # noqa: ANN401 - JSON that the caller checks
    """
    Parse the config of an image as every client parses it.

    Raises:
        ValueError: The content is not JSON, or has a known key in another
            case, which clients in Go accept and others do not.
        RecursionError: The JSON is nested too deeply.
    """
    config = parse_json(content)
    if isinstance(config, dict):
        check_keys(config, _CONFIG_KEYS, "")
        if isinstance(rootfs := config.get("rootfs"), dict):
            check_keys(rootfs, _ROOTFS_KEYS, "rootfs.")
    return config

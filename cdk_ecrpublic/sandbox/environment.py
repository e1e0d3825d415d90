"""The environment variables with which AWS clients find the sandbox."""

from __future__ import annotations

import os
from collections.abc import Mapping

REGION = "us-east-1"

LOOPBACK_NAMES = "127.0.0.1,localhost"


def variables(url: str, account: str) -> dict[str, str]:
    """
    Return the variables that a client needs.

    The access key is the account id: ministack treats a number of 12 digits as
    the account itself, so all clients use the same account. The configuration and
    credentials of the user are not used.
    """
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "CDK_DEFAULT_ACCOUNT": account,
        "CDK_DEFAULT_REGION": REGION,
        "NO_PROXY": LOOPBACK_NAMES,
        "no_proxy": LOOPBACK_NAMES,
    }


def inside(url: str, account: str, base: Mapping[str, str]) -> dict[str, str]:
    """Return a complete environment: *base* without AWS variables, plus the variables of the sandbox."""
    others = {name: value for name, value in base.items() if not name.startswith("AWS_")}
    return {**others, **variables(url, account)}

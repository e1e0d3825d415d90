"""The environment that AWS clients find the sandbox by."""

from __future__ import annotations

import os
from collections.abc import Mapping

REGION = "us-east-1"

LOOPBACK_NAMES = "127.0.0.1,localhost"


def variables(url: str, account: str) -> dict[str, str]:
    """
    Return what a client needs.

    The access key is the account's number: ministack takes a number of 12
    digits for the account itself, so every client agrees on who it is. The
    user's own configuration and credentials are out of reach.
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
    """Return a whole environment: *base* without anything of AWS in it, and the sandbox's variables."""
    others = {name: value for name, value in base.items() if not name.startswith("AWS_")}
    return {**others, **variables(url, account)}

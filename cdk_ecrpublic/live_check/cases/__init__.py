"""The cases, in the order of their importance."""

from __future__ import annotations

from types import ModuleType

from cdk_ecrpublic.live_check.case import Case

from . import limits, manifests, put_image, reads, registry_api, removal, requests, slow, stacks, uploads


def _of(module: ModuleType) -> list[Case]:
    return [value for value in vars(module).values() if isinstance(value, Case)]


MODULES = (put_image, reads, stacks, removal, manifests, requests, registry_api, uploads, limits, slow)

CASES: tuple[Case, ...] = tuple(case for module in MODULES for case in _of(module))

"""The reports as JSON. Sizes are in bytes, and names are in camel case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from ...review.drift import Finding
from ...review.effect import Effect
from .words import undo, verdict

FORMAT_VERSION = 1
"""Within a version, fields may be added, but no field changes its meaning."""


def plan_as_data(effects: Sequence[Effect], shown: Sequence[Effect]) -> dict[str, object]:
    """
    Return a plan.

    Args:
        effects: All effects, for the verdict.
        shown: The effects to list.

    Shape:
        ``{"formatVersion": 1, "verdict": "…", "images": [{"stack": "Agent",
        "path": "Agent/Release", "repository": "public.ecr.aws/acme/agent",
        "state": "changed", "digest": "sha256:…", "tags": [{"tag": "1.4",
        "action": "move", "before": "sha256:…", "after": "sha256:…"}],
        "writes": {"blobs": {"sha256:…": 3402}, "manifests": ["sha256:…"],
        "referrers": [], "referrerTags": [], "signatures": [], "deletes": []}, "images": {"sha256:…": {"mediaType": "…",
        "platforms": ["linux/amd64"], "size": 3402, "created": "…", …}},
        "problems": [], "notes": [], "warnings": [], "takenOver": [{"tags": ["latest"], "former":
        "removed", "owner": "Agent/Old"}], "undo": {"stays": ["1.4.2"],
        "fails": false, "problems": []}}], "undo": "If this deployment fails, …"}``;
        a tag with the action ``skip`` also has a ``reason``.
    """
    return {
        "formatVersion": FORMAT_VERSION,
        "verdict": verdict(effects),
        "images": [_effect(each) for each in shown],
        "undo": undo(effects),
    }


def drift_as_data(findings: Sequence[Finding]) -> dict[str, object]:
    """
    Return the findings of a verification.

    Shape:
        ``{"formatVersion": 1, "images": [{"stack": "…", "path": "…",
        "repository": "…", "verdict": "different", "digest": "sha256:…",
        "differences": ["tag 1.4 …"], "problems": [], "notes": []}]}``
    """
    return {"formatVersion": FORMAT_VERSION, "images": [asdict(each) for each in findings]}


def _effect(effect: Effect) -> Mapping[str, object]:
    images = {
        digest: {_camel(name): value for name, value in asdict(summary).items() if name != "digest"}
        for digest, summary in effect.images.items()
    }
    tags = [{name: value for name, value in asdict(tag).items() if name != "reason" or value} for tag in effect.tags]
    writes = {_camel(name): value for name, value in asdict(effect.writes).items()}
    return {_camel(name): value for name, value in asdict(effect).items()} | {
        "tags": tags,
        "images": images,
        "writes": writes,
    }


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))

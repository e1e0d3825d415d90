"""Texts that all reports share. Strings from images are untrusted, so control characters are removed here."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...review.effect import Action, Effect, Former, State, TagEffect
from ...review.images import Summary

_SHORT_HEX = 12
_LABEL_MAX_CHARACTERS = 100
_KIB = 1024
_TAGS_SHOWN = 5

_MEDIA_TYPES = {
    "application/vnd.oci.image.manifest.v1+json": "OCI image",
    "application/vnd.oci.image.index.v1+json": "OCI index",
    "application/vnd.docker.distribution.manifest.v2+json": "Docker image",
    "application/vnd.docker.distribution.manifest.list.v2+json": "Docker manifest list",
}


def short(digest: str | None) -> str:
    """Return the beginning of a digest, which is enough to compare digests by eye."""
    return "" if digest is None else digest[: len("sha256:") + _SHORT_HEX]


def harmless(text: str) -> str:
    """Return *text* in one line of limited length, without control characters."""
    shown = printable(text)
    return shown if len(shown) <= _LABEL_MAX_CHARACTERS else shown[: _LABEL_MAX_CHARACTERS - 1] + "…"


def printable(text: str) -> str:
    """Return *text* in one line, without control characters."""
    return "".join(each for each in text if not unicodedata.category(each).startswith("C"))


def amount(size: int) -> str:
    """Return a number of bytes with a unit."""
    if size < _KIB:
        return f"{size} bytes"
    value, unit = float(size), "bytes"
    for unit in ("KiB", "MiB", "GiB", "TiB"):  # noqa: B007 - the last unit is used after the loop
        value /= _KIB
        if value < _KIB:
            break
    return f"{value:.1f} {unit}"


def count(number: int, thing: str) -> str:
    """Return ``1 tag`` or ``2 tags``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def facts(summary: Summary) -> Iterator[str]:
    """Yield the facts about an image: kind, platforms, size, age, labels."""
    if summary.kind:
        yield harmless(summary.kind)
    if summary.platforms:
        yield ", ".join(map(harmless, summary.platforms))
    elif not summary.kind:
        yield _MEDIA_TYPES.get(summary.media_type, summary.media_type)
    if summary.size is not None:
        yield amount(summary.size)
    if summary.created:
        yield f"created {harmless(summary.created)}"
    for name in ("version", "revision", "source"):
        if value := getattr(summary, name):
            yield f"{name} {harmless(value)}"


def writes(effect: Effect) -> str:
    """Describe what is copied, put and deleted apart from tags; empty if nothing."""
    parts = []
    if effect.writes.blobs:
        parts.append(f"copies {count(len(effect.writes.blobs), 'blob')} of {amount(effect.writes.blob_bytes)}")
    if effect.writes.manifests:
        parts.append(f"puts {count(len(effect.writes.manifests), 'manifest')}")
    if effect.writes.referrers:
        parts.append(f"copies {count(len(effect.writes.referrers), 'referrer')}{_under(effect)}")
    if effect.writes.signatures:
        parts.append(f"signs {count(len(effect.writes.signatures), 'image')}")
    if effect.writes.deletes:
        parts.append(f"deletes {count(len(effect.writes.deletes), 'image')} at most")
    return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class PlatformChange:
    """The platforms that a tag gains and loses when it moves."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join(
            [*(f"+{harmless(each)}" for each in self.added), *(f"-{harmless(each)}" for each in self.removed)]
        )


def platform_change(effect: Effect, tag: TagEffect) -> PlatformChange:
    """Compare the platforms before and after a move."""
    before, after = effect.images.get(tag.before or ""), effect.images.get(tag.after or "")
    if tag.action is not Action.MOVE or before is None or after is None:
        return PlatformChange()
    return PlatformChange(
        added=tuple(each for each in after.platforms if each not in before.platforms),
        removed=tuple(each for each in before.platforms if each not in after.platforms),
    )


def verdict(effects: Sequence[Effect]) -> str:
    """Summarize in one line what a deployment will do."""
    moves = sum(tag.action is Action.MOVE for effect in _going(effects) for tag in effect.tags)
    new = sum(tag.action is Action.CREATE for effect in _going(effects) for tag in effect.tags)
    size = sum(effect.writes.blob_bytes for effect in _going(effects))
    states = [f"{number} {state.value}" for state in State if (number := sum(each.state is state for each in effects))]
    parts = [f"{count(len(effects), 'image')}: {', '.join(states)}" if effects else "no images are declared"]
    gone = sum(tag.action is Action.REMOVE for effect in _going(effects) for tag in effect.tags)
    if moves or new or gone:
        removed = f", {gone} will be removed" if gone else ""
        parts.append(f"{count(moves, 'tag')} will move, {new} will be new{removed}")
    if size:
        parts.append(f"{amount(size)} to copy at most")
    if left := sum(tag.action is Action.SKIP for effect in effects for tag in effect.tags):
        parts.append(f"{count(left, 'tag')} left in place by rules")
    if warned := sum(len(effect.warnings) for effect in effects):
        parts.append(count(warned, "warning"))
    return "; ".join(parts)


def skipped(effect: Effect) -> Iterator[str]:
    """Say of each tag that a rule leaves where it is, why."""
    for tag in effect.tags:
        if tag.action is Action.SKIP:
            yield f"tag {tag.tag} stays where it is: {printable(tag.reason)}"


_FORMERLY = {
    Former.REMOVED: "taken over from {owner}, which this change removes",
    Former.DROPPED: "taken over from {owner}, which no longer declares {it}",
    Former.DECLARED: "also declared by {owner}",
    Former.STACK: "also declared by {owner}, in another stack",
    Former.NONE: "taken over from no declaration on record: pushed by hand or by a script",
    Former.UNKNOWN: "taken over; the records of other declarations cannot be read",
}


def takeovers(effect: Effect) -> Iterator[str]:
    """Describe the former owners of tags. A tag that does not move is listed only if it has another owner."""
    moved = {tag.tag for tag in effect.tags if tag.action is Action.MOVE}
    for each in effect.taken_over:
        is_shared = each.former in {Former.DECLARED, Former.STACK}
        if tags := [tag for tag in each.tags if is_shared or tag in moved]:
            it = "it" if len(tags) == 1 else "them"
            yield f"{_listed(tags)}: {_FORMERLY[each.former].format(owner=harmless(each.owner), it=it)}"


def undo(effects: Sequence[Effect]) -> str:
    """Summarize in one line what a failed deployment leaves; empty if it changes no tag."""
    actions = {tag.action for effect in _going(effects) for tag in effect.tags}
    stays = [tag for effect in effects for tag in effect.undo.stays]
    lost = sum(effect.undo.fails for effect in effects)
    elsewhere = sum(bool(effect.undo.problems) and not effect.undo.fails for effect in effects)
    parts = []
    if lost:
        parts.append(f"that will fail for {count(lost, 'image')}")
    if elsewhere:
        parts.append(f"not all tags of {count(elsewhere, 'image')} return to where they are now")
    if Action.MOVE in actions:
        parts.append("other tags that moved go back" if lost or elsewhere else "tags that moved go back")
    if stays:
        names = _listed(list(dict.fromkeys(stays)))
        parts.append(f"{count(len(stays), 'new tag')} {'stays' if len(stays) == 1 else 'stay'}: {names}")
    elif Action.CREATE in actions and not (lost or elsewhere):
        parts.append("new tags are removed")
    return f"If this deployment fails, CloudFormation rolls it back: {'; '.join(parts)}" if parts else ""


def _under(effect: Effect) -> str:
    """List the tags of referrers, which are public like all tags."""
    tags = tuple(map(harmless, effect.writes.referrer_tags))
    return f" under {'the tag' if len(tags) == 1 else 'the tags'} {_listed(tags)}" if tags else ""


def _listed(tags: Sequence[str]) -> str:
    """List the first few tags, and count the others."""
    if len(tags) <= _TAGS_SHOWN:
        return ", ".join(tags)
    return f"{', '.join(tags[:_TAGS_SHOWN])} and {len(tags) - _TAGS_SHOWN} more"


def _going(effects: Sequence[Effect]) -> Iterator[Effect]:
    return (effect for effect in effects if effect.state is State.CHANGED)

"""Effects as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, Group
from rich.text import Text

from ...review.effect import Action, Effect, State, TagEffect
from . import words

_STYLES = {
    State.CHANGED: "yellow",
    State.UNCHANGED: "dim",
    State.DRIFTED: "magenta",
    State.REFUSED: "bold red",
    State.UNKNOWN: "cyan",
    State.UNSEEN: "red",
}
_ACTION_STYLES = {
    Action.CREATE: "green",
    Action.MOVE: "yellow",
    Action.UNCHANGED: "dim",
    Action.REMOVE: "red",
    Action.SKIP: "cyan",
}


def print_effects(effects: Sequence[Effect], shown: Sequence[Effect], console: Console) -> None:
    """Print the effects that are *shown*, unchanged ones in one line each, and the verdict on all *effects*."""
    lines = [line for effect in shown for line in _effect(effect)]
    lines.append(Text(words.verdict(effects), "bold"))
    if text := words.undo(effects):
        lines.append(Text(text))
    # One call is many times faster than one for each of hundreds of lines.
    console.print(Group(*lines))


def _effect(effect: Effect) -> Iterator[Text]:
    yield Text.assemble(
        (words.harmless(effect.path), "bold"),
        f"  {words.harmless(effect.repository)}  ",
        (effect.state.value, _STYLES[effect.state]),
    )
    said = [Text(words.printable(each)) for each in (*effect.problems, *effect.undo.problems, *effect.notes)]
    warned = [Text(f"warning: {words.printable(each)}", "yellow") for each in effect.warnings]
    taken = [Text(each) for each in words.takeovers(effect)]
    is_skipped = any(tag.action is Action.SKIP for tag in effect.tags)
    if effect.state is State.UNCHANGED and not (said or warned or taken or is_skipped):
        return
    for line in (*said, *warned, *_tags(effect), *taken, *map(Text, _facts(effect))):
        yield Text.assemble("  ", line)
    yield Text()


def _tags(effect: Effect) -> Iterator[Text]:
    """Yield a line with columns for each tag. rich's tables would truncate them and add trailing spaces."""
    names = max((len(tag.tag) for tag in effect.tags), default=0)
    actions = max((len(tag.action.value) for tag in effect.tags), default=0)
    ways = {tag.tag: " → ".join(_way(tag)) for tag in effect.tags}
    longest = max(map(len, ways.values()), default=0)
    for tag in effect.tags:
        change = words.printable(tag.reason) or str(words.platform_change(effect, tag))
        line = Text.assemble(
            f"{tag.tag:<{names}}  ",
            (f"{tag.action.value:<{actions}}", _ACTION_STYLES[tag.action]),
            f"  {ways[tag.tag]:<{longest}}  {change}",
        )
        line.rstrip()
        yield line


def _way(tag: TagEffect) -> Iterable[str]:
    return dict.fromkeys(words.short(each) for each in (tag.before, tag.after) if each)


def _facts(effect: Effect) -> Iterable[str]:
    for digest, summary in effect.images.items():
        side = "after" if digest == effect.digest else "before"
        yield f"{side} {words.short(digest)}: {', '.join(words.facts(summary))}"
    if not effect.tags and effect.digest:
        yield f"published by digest only: {effect.digest}"
    if text := words.writes(effect):
        yield text

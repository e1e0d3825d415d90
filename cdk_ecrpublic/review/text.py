"""The effect for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from . import words
from .effect import Action, Effect, State

_STYLES = {
    State.CHANGED: "yellow",
    State.UNCHANGED: "dim",
    State.DRIFTED: "magenta",
    State.REFUSED: "bold red",
    State.UNKNOWN: "cyan",
    State.UNSEEN: "red",
}
_ACTION_STYLES = {Action.CREATE: "green", Action.MOVE: "yellow", Action.UNCHANGED: "dim", Action.REMOVE: "red"}


def print_effects(effects: Sequence[Effect], console: Console) -> None:
    """Print all *effects*, those that change nothing in one line each."""
    for effect in effects:
        console.print(_effect(effect))
    console.print(Text(words.verdict(effects), "bold"))


def _effect(effect: Effect) -> RenderableType:
    head = Text.assemble(
        (words.harmless(effect.path), "bold"),
        f"  {words.harmless(effect.repository)}  ",
        (effect.state.value, _STYLES[effect.state]),
    )
    lines: list[RenderableType] = [Text(words.printable(each)) for each in (*effect.problems, *effect.notes)]
    if effect.state is State.UNCHANGED and not lines:
        return head
    if effect.tags:
        lines.append(_tags(effect))
    lines.extend(map(Text, _facts(effect)))
    return Group(head, Padding(Group(*lines), (0, 0, 0, 2), expand=False), "")


def _tags(effect: Effect) -> Table:
    table = Table.grid(padding=(0, 2))
    for tag in effect.tags:
        way = [each for each in (words.short(tag.before), words.short(tag.after)) if each]
        table.add_row(
            Text(tag.tag),
            Text(tag.action.value, _ACTION_STYLES[tag.action]),
            Text(" → ".join(dict.fromkeys(way))),
            Text(str(words.platform_change(effect, tag))),
        )
    return table


def _facts(effect: Effect) -> Iterable[str]:
    for digest, summary in effect.images.items():
        side = "after" if digest == effect.digest else "before"
        yield f"{side} {words.short(digest)}: {', '.join(words.facts(summary))}"
    if not effect.tags and effect.digest:
        yield f"published by digest only: {effect.digest}"
    if text := words.writes(effect):
        yield text

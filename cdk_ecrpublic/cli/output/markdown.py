"""Effects as Markdown, for a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ...review.effect import Action, Effect, State
from . import words

MARKER = "<!-- cdk-ecrpublic plan -->"
"""Identifies the comment, so that the next one can replace it."""

COMMENT_MAX_CHARACTERS = 60_000
"""GitHub's limit for a comment is 65,536."""

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~@-])")

_SIGNS = {
    State.CHANGED: "✏️",
    State.UNCHANGED: "✔️",
    State.DRIFTED: "⚠️",
    State.REFUSED: "❌",
    State.UNKNOWN: "❔",
    State.UNSEEN: "⚠️",
}


def as_markdown(effects: Sequence[Effect], shown: Sequence[Effect]) -> str:
    """Return a report with the verdict on all *effects*, and a section for each that is *shown*."""
    parts = [f"{MARKER}\n### Amazon ECR Public: {_plain(words.verdict(effects))}\n"]
    if text := words.undo(effects):
        parts.append(f"\n{_plain(text)}\n")
    left = COMMENT_MAX_CHARACTERS - sum(map(len, parts))
    listed = [
        effect for effect in shown if effect.state is not State.UNCHANGED or effect.warnings or any(_said(effect))
    ]
    for number, effect in enumerate(listed):
        section = "\n".join(_section(effect)) + "\n"
        if len(section) > left:
            parts.append(f"\n… and {words.count(len(listed) - number, 'image')} more; the job's log has them all.\n")
            break
        left -= len(section)
        parts.append(section)
    return "".join(parts)


def _section(effect: Effect) -> Iterator[str]:
    yield ""
    yield f"#### {_SIGNS[effect.state]} {_plain(effect.path)} → {_code(effect.repository)}"
    yield ""
    for problem in effect.problems:
        yield f"- **{effect.state.value}**: {_plain(problem)}"
    for warning in effect.warnings:
        yield f"- ⚠️ **warning**: {_plain(warning)}"
    for said in _said(effect):
        yield f"- {_plain(said)}"
    if effect.problems or effect.warnings or any(_said(effect)):
        yield ""
    if effect.tags:
        yield "| tag | | before | after | platforms |"
        yield "|---|---|---|---|---|"
        for tag in effect.tags:
            after = "" if tag.action in {Action.UNCHANGED, Action.SKIP} else _digest(tag.after)
            change = _plain(str(words.platform_change(effect, tag)))
            yield f"| {_code(tag.tag)} | {tag.action.value} | {_digest(tag.before)} | {after} | {change} |"
        yield ""
    for digest, summary in effect.images.items():
        side = "after" if digest == effect.digest else "before"
        yield f"- {side}, {_digest(digest)}: {', '.join(map(_code, words.facts(summary)))}"
    if not effect.tags and effect.digest:
        yield f"- published by digest only: {_code(effect.digest)}"
    if text := words.writes(effect):
        yield f"- {text}"


def _said(effect: Effect) -> Iterator[str]:
    yield from effect.undo.problems
    yield from effect.notes
    yield from words.skipped(effect)
    yield from words.takeovers(effect)


def _digest(digest: str | None) -> str:
    return _code(words.short(digest)) if digest else ""


def _code(text: str) -> str:
    """Quote untrusted text, so that it contains no links and mentions no users."""
    return f"`{words.harmless(text).replace('`', chr(39)).replace('|', '¦')}`"


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", words.printable(text))

"""The report: text for a terminal, Markdown for people, JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .case import Case
from .compare import Difference, Verdict
from .recording import Recording, Step

FORMAT_VERSION = 1

_SHOWN_CHARACTERS = 600

_EXPLANATION = (
    "Each case sends the same requests to both sides; names, dates and tokens are replaced before the responses are "
    "compared. *Text differs* means that only the words of a message differ. Measurements are not compared."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    The comparison of two endpoints.

    Attributes:
        left: The name of the first endpoint: the sandbox.
        right: The name of the second one: AWS.
        date: The day of the run.
        cases: The cases that were run.
        differences: The comparison of each, in the same order.
    """

    left: str
    right: str
    date: str
    cases: Sequence[Case]
    differences: Sequence[Difference]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the cases that a sandbox can answer."""
        pairs = zip(self.cases, self.differences, strict=True)
        verdicts = [each.verdict for case, each in pairs if not case.not_comparable or each.right.stopped]
        return max(verdicts, key=list(Verdict).index, default=Verdict.SAME)

    @property
    def summary(self) -> str:
        """How many cases have which verdict."""
        counts = Counter(each.verdict for each in self.differences)
        return ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])

    def as_data(self) -> dict[str, Any]:
        """Return the report as JSON."""
        pairs = zip(self.cases, self.differences, strict=True)
        return {
            "formatVersion": FORMAT_VERSION,
            "date": self.date,
            "endpoints": [self.left, self.right],
            "cases": [_case_as_data(case, difference) for case, difference in pairs],
        }

    def as_json(self) -> str:
        """Return the report as JSON text."""
        return json.dumps(self.as_data(), indent=2)

    def as_text(self) -> str:
        """Return the report for a terminal: the cases that differ, and a summary."""
        return "\n".join(self._text())

    def as_markdown(self) -> str:
        """Return the report for people: a table of all cases, and each difference."""
        return "\n".join(self._markdown())

    def _text(self) -> Iterator[str]:
        for case, difference in zip(self.cases, self.differences, strict=True):
            yield f"{difference.verdict:20} {case.name}"
            for side, recording in self._sides(difference):
                if recording.stopped:
                    yield f"    {side} stopped: {recording.stopped}"
            for _, one, other in difference.steps:
                yield f"    {_request(one, other)}"
                yield f"        {self.left}: {_response(one)}"
                yield f"        {self.right}: {_response(other)}"
            if difference.verdict is not Verdict.SAME:
                yield from (f"    rests on it: {place}" for place in _places(case))
        yield self.summary

    def _markdown(self) -> Iterator[str]:
        yield f"# {self.left} and {self.right}, {self.date}\n"
        yield f"{self.summary}. {_EXPLANATION}\n"
        yield "| case | question | verdict |\n|---|---|---|"
        for case, difference in zip(self.cases, self.differences, strict=True):
            yield f"| `{case.name}` | {case.question} | {difference.verdict} |"
        for case, difference in zip(self.cases, self.differences, strict=True):
            yield from self._section(case, difference)

    def _section(self, case: Case, difference: Difference) -> Iterator[str]:
        measured = [(side, each.measured) for side, each in self._sides(difference) if each.measured]
        if difference.verdict is Verdict.SAME and not measured:
            return
        yield f"\n## {case.name}: {difference.verdict}\n\n{case.question}\n"
        for side, recording in self._sides(difference):
            if recording.stopped:
                yield f"{side} stopped: {_code(recording.stopped)}\n"
        if difference.steps:
            yield f"| request | {self.left} | {self.right} |\n|---|---|---|"
        for _, one, other in difference.steps:
            yield f"| {_code(_request(one, other))} | {_code(_response(one))} | {_code(_response(other))} |"
        if difference.verdict is not Verdict.SAME:
            yield "\nWhat rests on it:\n"
            yield from (f"- {place}" for place in _places(case))
        for side, values in measured:
            yield f"\nMeasured, {side}:\n"
            yield from (f"- {name}: {value}" for name, value in values.items())

    def _sides(self, difference: Difference) -> tuple[tuple[str, Recording], tuple[str, Recording]]:
        return (self.left, difference.left), (self.right, difference.right)


def _places(case: Case) -> list[str]:
    rows = [f"the fidelity page: {row}" for row in case.fidelity]
    settings = [f"the setting {setting} of the sandbox" for setting in case.settings]
    return [*rows, *settings, *(f"lambda_handler.{place}" for place in case.handler)]


def _request(one: Step | None, other: Step | None) -> str:
    names = list(dict.fromkeys(step.request for step in (one, other) if step))
    return " / ".join(names)


def _response(step: Step | None) -> str:
    """Describe a response in one line."""
    if step is None:
        return "(no such step)"
    parts = [str(step.status or ""), step.code, step.text, *(f"{key}: {value}" for key, value in step.headers.items())]
    body = "" if step.body is None else json.dumps(step.body)
    text = " ".join(part for part in (*parts, body) if part)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _code(text: str) -> str:
    """Quote text in a cell of a table."""
    inner = text.replace("|", "\\|").replace("\n", " ")
    fence = "``" if "`" in inner else "`"
    return f"{fence} {inner} {fence}" if fence == "``" else f"`{inner}`"


def _case_as_data(case: Case, difference: Difference) -> dict[str, Any]:
    return {
        "case": case.name,
        "question": case.question,
        "verdict": difference.verdict.value,
        "fidelity": list(case.fidelity),
        "settings": list(case.settings),
        "handler": list(case.handler),
        "stopped": [difference.left.stopped, difference.right.stopped],
        "measured": [difference.left.measured, difference.right.measured],
        "differences": [
            {"verdict": verdict.value, "responses": [_step_as_data(one), _step_as_data(other)]}
            for verdict, one, other in difference.steps
        ],
    }


def _step_as_data(step: Step | None) -> Mapping[str, Any] | None:
    return asdict(step) if step else None

"""
Explore many pairs of requests: ``make interleavings ARGS="--help"``.

Prints each kind of violation once, with the shortest schedule that shows it,
and exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TypeVar

from .checker import Checker
from .explore import Bounds, Explorer, Tally, Violation
from .grid import ACTIONS, all_pairs, singles
from .report import log_of, render, summary
from .run import controlled
from .scenarios import Pair
from .schedule import Fault, Schedule
from .world import Service

T = TypeVar("T", bound=str)

PROGRESS_SECONDS = 20.0

SETS = {"singles": singles, "pairs": all_pairs}

SERVICES = {
    "documented": Service(),
    "ignores-digest": Service(ignores_digest=True),
    "takes-image": Service(takes_image=True),
}


@dataclass(kw_only=True)
class PairResult:
    """
    The violations of one pair.

    Attributes:
        shortest: For each kind of violation, the length of the shortest schedule, its name, and its report.
        counts: For each kind, how many schedules show it.
    """

    tally: Tally
    shortest: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, violation: Violation, text: str) -> None:
        for problem in violation.finding.problems:
            self.counts[problem] += 1
            length = len(violation.schedule.decisions)
            if problem not in self.shortest or length < self.shortest[problem][0]:
                self.shortest[problem] = (length, violation.id, text)


def explore_pair(task: tuple[Pair, Bounds]) -> PairResult:
    """Explore one pair. Can run in another process."""
    pair, bounds = task
    with controlled():
        explorer = Explorer(pair, bounds)
        found = PairResult(tally=explorer.tally)
        for violation in explorer.violations():
            found.add(violation, render(violation, explorer.prepared.simulation.world))
    return found


def replay(identity: str, service: Service) -> str:
    """Run one schedule again; return its violations and its log."""
    name, _, schedule = identity.partition("#")
    pair = replace(Pair.parse(name), service=service)
    with controlled() as sink:
        explorer = Explorer(pair, Bounds())
        sink.lines.clear()
        run = explorer.run(Schedule.parse(schedule))
        run.log = [*sink.lines]
        findings = list(Checker(explorer.prepared).check(run))
    reports = [Violation(pair, run.schedule, finding, run) for finding in findings]
    texts = [render(each, explorer.prepared.simulation.world) for each in reports]
    log = log_of(run.log)
    return "\n".join([*(f"{text}\n" for text in texts or ["no violation"]), "log:", *log])


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    service = SERVICES[options.service]
    if options.replay:
        _print(replay(options.replay, service))
        return 0
    tasks = list(_tasks(options, service))
    total, shown, violations = Tally(), Counter[str](), 0
    started = reported = time.monotonic()
    with multiprocessing.get_context("fork").Pool(options.workers) as pool:
        for found in pool.imap_unordered(explore_pair, tasks, chunksize=4):
            total.add(found.tally)
            violations += found.counts.total()
            _show(found, shown, options.show)
            if time.monotonic() - reported > PROGRESS_SECONDS:
                reported = time.monotonic()
                _print(f"[{reported - started:5.0f} s of {len(tasks):,} pairs] {summary(total, violations)}")
    seconds = time.monotonic() - started
    _print(f"{summary(total, violations)} in {seconds:.0f} s, {total.runs / seconds:.0f} schedules a second")
    for problem, count in shown.most_common():
        _print(f"{count:8,} pairs: {problem}")
    return 1 if violations else 0


def _show(found: PairResult, shown: Counter[str], limit: int) -> None:
    """Print the violations of a pair, except kinds that have been printed often enough."""
    for problem, (_, identity, text) in sorted(found.shortest.items(), key=lambda item: item[1][0]):
        kind = _kind(identity, problem)
        shown[kind] += 1
        if shown[kind] <= limit:
            _print(f"\n{text}\n")


def _kind(identity: str, problem: str) -> str:
    """Return the kind of a violation, so that each kind is shown once."""
    pair, _, schedule = identity.partition("#")
    sides = "+".join(part.partition(".")[0] for part in pair.partition("/")[0].split("+"))
    inserted = Schedule.parse(schedule).inserted
    return f"{sides}{f' [{inserted.what}]' if inserted else ''}: {problem.partition(': /')[0][:70]}"


def _tasks(options: argparse.Namespace, service: Service) -> Iterator[tuple[Pair, Bounds]]:
    for name in options.sets.split(","):
        pairs = [pair for pair in SETS[name]() if fnmatchcase(str(pair), options.only)]
        bounds = Bounds(
            switches=options.switches,
            faults=_chosen(options.faults, Fault, is_default=name == "singles"),
            actions=_chosen(options.acts, str, is_default=name == "singles"),
            switches_with_insertion=options.beside,
        )
        yield from ((replace(pair, service=service), bounds) for pair in pairs[options.part :: options.parts])


def _chosen(text: str, kind: type[T], *, is_default: bool) -> tuple[T, ...]:
    """Parse an option for insertions. The default is everything for single requests, and nothing for pairs."""
    everything: Iterable[str] = Fault if kind is Fault else ACTIONS
    names = everything if text == "all" or (is_default and not text) else filter(None, text.split(","))
    return tuple(kind(name) for name in names if name != "none")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make interleavings", description=__doc__)
    parser.add_argument("--sets", default="singles,pairs", help="what to explore: singles, pairs, or both")
    parser.add_argument("--only", default="*", help="names of pairs, with * and ?: 'delete.DESTROY+*/same/*'")
    parser.add_argument("--switches", type=int, default=2, help="the maximum number of switches between the requests")
    inserted = "all, none, or some of {}; by default all for single requests, and none for pairs"
    parser.add_argument(
        "--faults", default="", help=f"faults to insert at each step: {inserted.format(','.join(Fault))}"
    )
    parser.add_argument(
        "--acts", default="", help=f"actions of a person to insert at each step: {inserted.format(','.join(ACTIONS))}"
    )
    parser.add_argument("--beside", type=int, default=1, help="as --switches, for schedules with an insertion")
    parser.add_argument("--service", choices=SERVICES, default="documented", help="how the registry removes tags")
    parser.add_argument("--part", type=int, default=0, help="with --parts N: every Nth pair, beginning with this one")
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--show", type=int, default=1, help="how many examples of each kind of violation to print")
    parser.add_argument("--replay", default="", help="run the schedule with this name again, and print its log")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

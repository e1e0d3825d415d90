"""``cdk-ecrpublic pin``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.text import Text

from cdk_ecrpublic.cli.output.data import FORMAT_VERSION
from cdk_ecrpublic.cli.output.words import count, printable, short
from cdk_ecrpublic.review.app.assembly import AssemblyError
from cdk_ecrpublic.review.pins import Pin, find_pins, read_context, read_names, unused, write_context

from .exit_status import ExitStatus
from .reviewing import ReviewError, output, waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command."""

    folder: Path
    stacks: tuple[str, ...]
    context_file: Path
    registry: str
    check: bool
    as_json: bool


def run(options: Options) -> ExitStatus:
    """
    Write the digests of the app's mutable names, or check those that were written.

    If a name cannot be resolved, nothing is written.

    Raises:
        ReviewError: The app or the context cannot be read or written.
    """
    try:
        return _run(options)
    except AssemblyError as error:
        raise ReviewError(str(error)) from error


def _run(options: Options) -> ExitStatus:
    names, context = read_names(options.folder, options.stacks), read_context(options.context_file)
    with waiting("resolving names", options.registry) as wait:
        wait.begin(len(names))
        pins = find_pins(names, context, wait.registry, wait.advance)
    left = list(unused(read_names(options.folder), context))
    failed = any(pin.now is None for pin in pins)
    stale = [pin for pin in pins if not pin.is_current]
    if stale and not failed and not options.check:
        write_context(options.context_file, {**context, **{pin.key: pin.now for pin in pins}})
    if options.as_json:
        data = {"formatVersion": FORMAT_VERSION, "names": [asdict(pin) for pin in pins], "unused": left}
        click.echo(json.dumps(data, indent=2))
    else:
        _print(pins, left, options)
    if failed:
        return ExitStatus.UNCHECKED
    return ExitStatus.FOUND if stale and options.check else ExitStatus.FINE


def _print(pins: Sequence[Pin], left: Sequence[str], options: Options) -> None:
    console = output()
    for pin in pins:
        console.print(Text.assemble((printable(pin.name), "bold"), "  ", _outcome(pin)))
    for key in left:
        console.print(Text(f"unused: {printable(key)}; cdk context --reset removes it", "dim"))
    stale = sum(not pin.is_current for pin in pins)
    if any(pin.problem for pin in pins):
        said = "not all names could be resolved; nothing was written"
    elif not stale:
        said = f"{count(len(pins), 'name')}, all up to date in {options.context_file}" if pins else "no mutable names"
    elif options.check:
        said = f"{count(stale, 'name')} not up to date in {options.context_file}; run cdk-ecrpublic pin"
    else:
        said = f"{options.context_file}: {count(stale, 'name')} written; run cdk diff to see what moves"
    console.print(Text(said, "bold"))


def _outcome(pin: Pin) -> Text:
    if pin.problem:
        return Text(printable(pin.problem), "red")
    if pin.is_current:
        return Text(f"{short(pin.now)}, unchanged", "dim")
    before = f"{short(pin.before)} → " if pin.before else ""
    return Text(f"{before}{short(pin.now)}", "yellow")

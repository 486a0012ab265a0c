"""``holdfast verify``: the inventory's invariants, on the live inventory."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli import options, show
from holdfast.cli.context import open_context
from holdfast.cli.progress import progress
from holdfast.inventory import checkpoints
from holdfast.inventory import verify as verifying
from holdfast.inventory.invariants import Violation

FINDINGS_SHOWN = 100


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify)


def verify(
    replay: Annotated[
        bool, typer.Option("--replay/--no-replay", help="Also replay the whole journal; holds all of it in memory.")
    ] = True,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Check that the inventory keeps its own invariants.

    Reads one position of the inventory while work goes on. Prints each invariant
    with "ok" or what is broken; exit code 1 if anything is. docs/invariants.md
    explains the numbers. What is broken is told with the positions between which
    it came about, if all was sound at an earlier verify, and with the entries
    since then that touched it.
    """
    with open_context() as context:
        with progress("Verifying", unit="steps", quiet=quiet) as update:
            findings = verifying.verify(
                context.store,
                replay=replay,
                folder=context.state_dir / checkpoints.FOLDER,
                progress=lambda name: update(note=name),
            )
        position = context.store.head().position
    broken = {number: [each for each in findings if each.invariant == number] for number in verifying.INVARIANTS}
    if json:
        show.document({"invariants": verifying.INVARIANTS, "findings": findings, "replayed": replay})
    else:
        rows = []
        for number, sentence in verifying.INVARIANTS.items():
            skipped = not replay and number in ("I11", "I12")
            state = f"{len(broken[number])} broken" if broken[number] else "skipped" if skipped else "ok"
            rows.append((number, state, sentence))
        show.table(("invariant", "state", "says that"), rows)
        _list(findings)
        verdict = show.plural(len(findings), "violation") if findings else "no violation"
        show.line(f"{verdict}; the journal ends at position {position}")
    if findings:
        raise typer.Exit(1)


def _list(findings: list[Violation]) -> None:
    for each in findings[:FINDINGS_SHOWN]:
        show.line(f"{each.invariant}: {each.place}: {each.message}{_since(each)}")
        for touch in each.touches:
            show.line(f"    {touch.position}  {show.time(touch.at_us)}  {touch.actor}  {touch.cause}")
    if len(findings) > FINDINGS_SHOWN:
        show.line(f"... and {len(findings) - FINDINGS_SHOWN} more; --json prints all")


def _since(finding: Violation) -> str:
    if finding.since is None:
        return ""
    sound, now = finding.since
    if finding.about is None:
        return f" (sound at position {sound}, now {now})"
    kind, name = finding.about
    by = f"these touched {kind} {name} since" if finding.touches else f"no entry has touched {kind} {name} since"
    return f" (sound at position {sound}, now {now}; {by})"

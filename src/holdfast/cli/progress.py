"""Progress: one bar on standard error, for people only.

    with progress("Copying", total=len(tasks)) as update:
        for task in tasks:
            ...
            update()                       # one more is done
            update(8)                      # eight more
            update(total=n, note="site T2_X")  # more is known now

On a terminal that is a Rich bar; in a pipe, or with ``quiet``, ``update`` does
nothing and costs nothing. It may be called from any thread. The bar is gone
from the screen when the block ends, however it ends.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

from holdfast.cli import show

Unit = Literal["files", "bytes", "steps"]


class Update(Protocol):
    """How work says how far it is."""

    def __call__(
        self, advance: int = 1, *, completed: int | None = None, total: int | None = None, note: str | None = None
    ) -> None:
        """``advance`` more are done, or ``completed`` altogether; ``total`` and ``note`` replace what was shown."""


@contextmanager
def progress(
    description: str, total: int | None = None, *, unit: Unit = "files", quiet: bool = False
) -> Iterator[Update]:
    """Show a bar while the block lasts; ``total`` None: not known (yet). With ``unit="bytes"`` it shows a rate."""
    if quiet or not sys.stderr.isatty():
        yield _nothing
        return
    with _bar(description, total, unit) as update:
        yield update


def _nothing(
    advance: int = 1, *, completed: int | None = None, total: int | None = None, note: str | None = None
) -> None:
    """Progress that nobody sees."""


@contextmanager
def _bar(description: str, total: int | None, unit: Unit) -> Iterator[Update]:
    from rich import progress as bars
    from rich.console import Console

    counts: list[bars.ProgressColumn] = (
        [bars.DownloadColumn(), bars.TransferSpeedColumn()] if unit == "bytes" else [bars.MofNCompleteColumn()]
    )
    columns = [
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        *counts,
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[note]}", markup=False),
    ]
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(show.escape(description), total=total, note="")

        def update(
            advance: int = 1, *, completed: int | None = None, total: int | None = None, note: str | None = None
        ) -> None:
            if note is not None:
                shown.update(task, note=show.escape(note))
            # Rich takes None for "leave it as it is".
            shown.update(task, advance=None if completed is not None else advance, completed=completed, total=total)

        yield update

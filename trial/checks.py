"""Checks of the real sites, by the commands: look, put right what is confirmed, then what a person confirms, and again.

Every finding of every check is noted in the book, as the check called it. Of a
check in which a server died what it called unlisted is the dead server's doing
and counts for nothing. All others have to come to their end.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from holdfast.consistency import classes, findings
from holdfast.consistency.report import FINDINGS
from holdfast.inventory.store import Store
from holdfast.model.records import Request
from trial.book import Book
from trial.processes import Command, Commands, Ran

DISTURBED = ("unlisted", "suspect")
"""What a server that dies makes of its files."""
ROUNDS_MAX = 6
_ENDED = (0, 1, 3, 4)
"""A check that came to its end: all well, something left, not all done, a gate closed."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A check that came to its end."""

    agrees: bool
    seconds: float
    directories: int
    proved: int
    n_findings: int


class Checks:
    """Checks sites and notes what is found."""

    def __init__(self, store: Store, commands: Commands, book: Book) -> None:
        self._store, self._commands, self._book = store, commands, book

    def check(self, site: str, *options: str) -> Checked:
        """Check one site to the end."""
        return self.noted(site, self._commands.run("check", site, *_OPTIONS, *options, codes=_ENDED))

    def check_all(self, sites: Sequence[str], *options: str) -> dict[str, Checked]:
        """Check several sites at the same time."""
        with ThreadPoolExecutor(len(sites)) as pool:
            begun = {site: pool.submit(self.check, site, *options) for site in sites}
            return {site: each.result() for site, each in begun.items()}

    def start(self, site: str, *options: str) -> Command:
        """Begin a check, for somebody to disturb it."""
        return self._commands.start("check", site, *_OPTIONS, *options)

    def noted(self, site: str, ran: Ran, *, is_disturbed: bool = False) -> Checked:
        """Note what a check has found."""
        document = ran.document
        for finding in findings.read_table(Path(document["folder"]) / FINDINGS):
            if not (is_disturbed and finding.cls.value in DISTURBED):
                self._book.note(site, finding.cls.value, finding.path)
        n_findings = sum(document[cls.value] or 0 for cls in classes.Class)
        return Checked(bool(document["agrees"]), ran.seconds, document["directories"], document["proved"], n_findings)

    def wait_for_requests(self, *, timeout_s: float) -> None:
        """Until nothing is asked for any more; TimeoutError with what is left."""
        deadline = time.monotonic() + timeout_s
        position = 0
        while True:
            with self._store.snapshot() as view:
                left: list[Request] = [*view.copy_requests(), *view.deletion_requests()]
                position = view.head.position
            if not left:
                return
            if time.monotonic() > deadline:
                listed = self._commands.run("transfers", "list", "--json", name="list").out[:3000]
                raise TimeoutError(f"{len(left)} requests are still open: {listed}")
            self._store.wait(position, 5.0)


_OPTIONS = ("--json", "--quiet")

"""Going: what open removals at a site take away anyway, and asking for more with nobody in between.

Rules
  * What an open removal names is not asked for again, whoever has asked for it.
  * Each request rests on what was seen of the others (``NoOtherRemovals``): who acts at the same time as somebody
    else looks again, and asks for what is left.
  * Others that have ended meanwhile do not matter: what they took, the storage has no more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.consistency.findings import Finding
from holdfast.inventory.store import Store
from holdfast.model.errors import Conflict
from holdfast.model.requirements import NoOtherRemovals

TRIES = 20
"""How often asking starts anew because others ask at the same time."""

Ask = Callable[[Sequence[Finding], NoOtherRemovals], str]
"""Asks for the removal of findings in one transaction; returns the request."""


class Going:
    """The open removals at a site, as they were seen last, and those that were asked for through this."""

    def __init__(self, store: Store, site: str) -> None:
        self._store, self._site = store, site
        self._seen: set[str] = set()
        self._paths: dict[str, str] = {}
        self._look()

    def without(self, findings: Sequence[Finding], going: dict[str, str]) -> list[Finding]:
        """Those that nobody takes away; the others are put into ``going``: path, and the request that does."""
        going |= {each.path: self._paths[each.path] for each in findings if each.path in self._paths}
        return [each for each in findings if each.path not in self._paths]

    def ask(self, findings: Sequence[Finding], ask: Ask, going: dict[str, str]) -> list[Finding]:
        """Ask for what is left of ``findings``, unless that is nothing; returns it. ``going`` as for ``without``."""
        for _ in range(TRIES):
            left = self.without(findings, going)
            if not left:
                return []
            try:
                request = ask(left, NoOtherRemovals(self._site, tuple(sorted(self._seen))))
            except Conflict:
                if not self._look():
                    raise
                continue
            self._seen.add(request)
            return left
        message = f"removals at {self._site} keep being asked for"
        raise Conflict(message, rows=(self._site,), hint="try again later")

    def _look(self) -> bool:
        """Look again; whether somebody has asked for more."""
        with self._store.snapshot() as view:
            found = [each for each in view.deletion_requests(site=self._site) if each.n_paths]
        others = [each for each in found if each.id not in self._seen]
        self._seen |= {each.id for each in others}
        self._paths |= {each.path(number): each.id for each in others for number in range(each.n_paths)}
        return bool(others)

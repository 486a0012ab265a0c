"""Looks: the checks of each site as the simulator saw them; was what is acted on seen often and long enough?

Rules
  * A check counts if its report has the path in the class, and if the storage has really shown what it has: one of a
    site that was not mounted confirms nothing that it calls missing.
  * It has to be the same file: one of another size or time, or that was moved there since, begins anew.
  * A check that could not see the place neither counts nor breaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from holdfast.consistency.classes import ACTED, LEAVING_OPEN, UNSEEN, Class
from holdfast.consistency.confirmation import Confirmation
from holdfast.consistency.report import Report
from holdfast.testing.memory_tree import Node
from holdfast.testing.simulation.checking import Checked
from holdfast.testing.simulation.deeds import Deeds
from holdfast.testing.simulation.quarantined import CLOCK_DOUBT_S
from holdfast.testing.simulation.world import World


@dataclass(frozen=True)
class Look:
    """One check that has ended. ``began_us``: by the wall clock, the deed in which it ended."""

    checked: Checked
    began_us: int
    found: dict[Class, dict[str, Node | None]]
    """By class and path, what really lay there."""
    hidden: frozenset[str]
    """Places that it did not see, with all below."""
    unsaid: frozenset[str]
    """Paths of which it says nothing."""
    is_blind: bool
    """The site was not mounted."""

    def hides(self, path: str) -> bool:
        """Whether this check says nothing of a path."""
        if path in self.unsaid:
            return True
        return any(path == place or place == "/" or path.startswith(f"{place}/") for place in self.hidden)


@dataclass
class Looks:
    """All checks of all sites, in the order in which they ended."""

    by_site: dict[str, list[Look]] = field(default_factory=dict)

    def learn(self, world: World, deeds: Deeds) -> None:
        """Take in the check that has ended in this deed."""
        site = deeds.just_checked
        if not site:
            return
        checked, files = deeds.checked[site], world.files(site)
        found: dict[Class, dict[str, Node | None]] = {cls: {} for cls in ACTED}
        for each in checked.findings:
            if each.cls in found:
                found[each.cls][each.path] = files.get(each.path)
        hidden = frozenset(each.path for each in checked.findings if each.cls in UNSEEN)
        unsaid = frozenset(each.path for each in checked.findings if each.cls in LEAVING_OPEN)
        # One that was gone on with may have seen something before.
        is_blind = site in world.unmounted and not checked.is_resumed
        look = Look(checked, checked.at_us, found, hidden, unsaid, is_blind)
        self.by_site.setdefault(site, []).append(look)

    def reports_before(self, report: Report) -> list[Report]:
        """The reports of a site of which the runs began before that one's, in that order, by the clock as it was."""
        known = [look.checked.report for look in self.by_site.get(report.site, [])]
        earlier = [each for each in known if each.run != report.run and each.started_us <= report.started_us]
        return sorted(earlier, key=lambda each: (each.started_us, each.run))

    def last(self, site: str) -> Checked | None:
        """The check of a site that began last, by the clock as it was; None if there is none."""
        known = [look.checked for look in self.by_site.get(site, [])]
        return max(known, key=lambda each: (each.report.started_us, each.report.run), default=None)

    def judge(self, site: str, cls: Class, path: str, needed: Confirmation, *, now_us: int) -> Iterator[str]:
        """S8: what is acted on by the last check of a site was seen often and long enough."""
        n_seen, first_us = self._seen(site, cls, path)
        if n_seen < needed.runs:
            yield f"S8: {site}:{path} was acted on as {cls.value}, seen so by {n_seen} checks of {needed.runs}"
        elif now_us - first_us < (needed.over_s - CLOCK_DOUBT_S) * 1_000_000:
            seen_s = (now_us - first_us) // 1_000_000
            yield f"S8: {site}:{path} was acted on as {cls.value}, seen so for {seen_s} s only"

    def _seen(self, site: str, cls: Class, path: str) -> tuple[int, int]:
        """By how many checks without a break, the last one included, and since when."""
        n_seen, first_us, last = 0, 0, None
        for look in reversed(self.by_site.get(site, [])):
            if path in look.found[cls] and not (cls is Class.MISSING and look.is_blind):
                node = look.found[cls][path]
                if n_seen and not _is_same(node, last, cls, look.began_us):
                    break
                n_seen, first_us, last = n_seen + 1, look.began_us, node
            elif (cls is Class.MISSING and look.is_blind) or not look.hides(path):
                break
        return n_seen, first_us


def _is_same(then: Node | None, later: Node | None, cls: Class, then_us: int) -> bool:
    """Whether a file is the one that was there then, as far as any storage tells."""
    if then is None or later is None:
        return then is later
    if (len(then.data), then.mtime_ns) != (len(later.data), later.mtime_ns):
        return False
    # A clock that was put back in between may have hidden it.
    return cls is not Class.ORPHAN or (later.changed_ns or 0) // 1000 <= then_us or then.changed_ns == later.changed_ns

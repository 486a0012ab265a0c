"""Removals: ask that orphans go, or are quarantined, and that empty directories go.

Nothing is done here but asking, each time in one transaction with the reason;
``holdfast.operations`` carries it out, after the same check and another look.

Rules
  * The gate of what is asked for is open, or nothing is asked for.
  * Each file and directory is stat'ed right before: what is no longer as the check
    saw it is skipped.
  * What is locked or may be a last copy stays, and holds up nothing else: also an orphan of the size of a file
    that is lacking (``sought.py``), which it may be under another name. So does what
    may be a copy that nobody has registered.
  * What an open request is to take away is not asked for again (``going.py``).
  * Nor is what a person has cancelled, unless whoever acts says so (``cancelled.py``).
  * A quarantined file is moved into the day's folder, from where it can be had back.
    A storage that cannot rename has no quarantine: that is said before anything is asked.
  * A dry run goes through the same transactions, which are then undone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from holdfast import logs
from holdfast.consistency.checking.awaited import Asked
from holdfast.consistency.checking.unregistered import unregistered
from holdfast.consistency.classes import Class
from holdfast.consistency.findings import Finding, pieces
from holdfast.consistency.gates import Gates
from holdfast.consistency.history.deeds import DeedKind
from holdfast.consistency.mending import cancelled, seen
from holdfast.consistency.mending.asker import MendingAsker, Repair, refused, require_open
from holdfast.consistency.mending.going import Ask, Going
from holdfast.consistency.mending.request_sizes import cut, orphan_cost
from holdfast.consistency.mending.sought import Sought, sought_files
from holdfast.consistency.report import Report
from holdfast.inventory import deletion
from holdfast.model import quarantine, steps
from holdfast.model.records import EmptyDirectory, Orphan
from holdfast.model.requirements import NoOtherRemovals
from holdfast.operations import requests

_log = logs.get("consistency")


async def delete_orphans(
    asker: MendingAsker,
    report: Report,
    findings: Iterable[Finding],
    result: Repair,
    *,
    gates: Gates,
    lacking: Iterable[Finding],
    is_quarantined: bool,
    is_again: bool = False,
) -> None:
    """Ask for the removal of all orphans in ``findings`` that may go; with ``is_again`` cancelled or not.

    ``lacking`` are the report's findings of the classes ``MAY_BE_LACKING``: an orphan may be one of these files
    under another name.
    """
    capabilities = asker.driver.capabilities
    if is_quarantined and not (capabilities.rename and (capabilities.atomic_rename or capabilities.directories)):
        hint = "set consistency.quarantine = false for this site, or say --no-quarantine: then orphans are deleted"
        raise refused(report, f"the storage of {report.site} cannot rename, so it has no quarantine", hint)
    into = quarantine.day_folder(asker.clock()) if is_quarantined else ""
    with asker.store.snapshot() as view:
        sought = sought_files(view, report.site, lacking)
    going = Going(asker.store, report.site)
    for piece in pieces(finding for finding in findings if finding.cls is Class.ORPHAN):
        require_open(report, gates, *{finding.cls for finding in piece})
        rest = going.without(piece, result.going)
        rest = await seen.as_seen(asker.driver, rest, result.skipped)
        rest = rest if is_again else cancelled.without(asker.store, report.site, rest, result.skipped)
        good = _may_go(asker, report.site, rest, sought, result)
        for part in cut(good, orphan_cost):
            asked = going.ask(part, _asking(asker, report, result.deletion_requests, into=into), result.going)
            result.deletions += len(asked)
            result.deleted_size += sum(finding.size for finding in asked)


def _may_go(asker: MendingAsker, site: str, piece: Sequence[Finding], sought: Sought, result: Repair) -> list[Finding]:
    with asker.store.snapshot() as view:
        record, paths = view.site(site), [finding.path for finding in piece]
        found = deletion.obstacles(view, record, paths, now_us=asker.clock())
        wanted = [each.path for each in found if each.ground is deletion.Ground.WANTED]
        stray = unregistered(view, record, Asked(view, site), wanted)
    reasons = {each.path: reason for each in piece if (reason := sought.reason(each))}
    reasons |= {obstacle.path: obstacle.reason for obstacle in found} | stray
    result.skipped += [replace(each, reason=reasons[each.path]) for each in piece if each.path in reasons]
    return [finding for finding in piece if finding.path not in reasons]


async def remove_empty(
    asker: MendingAsker,
    report: Report,
    findings: Iterable[Finding],
    result: Repair,
    *,
    gates: Gates,
    is_again: bool = False,
) -> None:
    """Ask for the removal of the empty directories in ``findings``, the deepest first; ``is_again`` as for orphans."""
    going = Going(asker.store, report.site)
    for piece in pieces(finding for finding in findings if finding.cls is Class.EMPTY_DIRECTORY):
        require_open(report, gates, *{finding.cls for finding in piece})
        rest = going.without(piece, result.going_directories)
        rest = await seen.as_seen(asker.driver, rest, result.skipped)
        rest = rest if is_again else cancelled.without(asker.store, report.site, rest, result.skipped)
        good = _may_be_removed(asker, report.site, rest, result)
        for part in cut(good, orphan_cost):
            ask = _asking(asker, report, result.directory_requests)
            result.directories += len(going.ask(part, ask, result.going_directories))


def _may_be_removed(asker: MendingAsker, site: str, piece: Sequence[Finding], result: Repair) -> list[Finding]:
    """The directories of ``piece`` that the inventory has nothing against; one that must stay holds up no other."""
    with asker.store.snapshot() as view:
        paths = [finding.path for finding in piece]
        found = deletion.directory_obstacles(view, view.site(site), paths, now_us=asker.clock())
    reasons = {obstacle.path: obstacle.reason for obstacle in found}
    result.skipped += [replace(each, reason=reasons[each.path]) for each in piece if each.path in reasons]
    return [finding for finding in piece if finding.path not in reasons]


def _asking(asker: MendingAsker, report: Report, requests_made: list[str], *, into: str = "") -> Ask:
    """What asks for one part; the ids of real requests are added to ``requests_made``."""

    def ask(about: Sequence[Finding], nobody_else: NoOtherRemovals) -> str:
        id = asker.new_id()
        files = [each for each in about if each.cls is Class.ORPHAN]
        directories = [each for each in about if each.cls is Class.EMPTY_DIRECTORY]
        kind = DeedKind.DIRECTORY_REMOVAL if directories else DeedKind.QUARANTINE if into else DeedKind.DELETION
        requests.request_deletion(
            asker.store,
            report.site,
            [Orphan(each.path, each.actual_size or 0, each.mtime_ns or 0, each.version) for each in files],
            reason=asker.cause(report),
            actor=asker.actor,
            clock=asker.clock,
            into=into,
            directories=[EmptyDirectory(each.path, each.mtime_ns) for each in directories],
            also=asker.recorder(report, kind, id, about),
            requirements=(nobody_else, *asker.same_door(report.site)),
            dry_run=asker.dry_run,
            new_id=lambda: id,
        )
        said = {"site": report.site, "run": report.run, "dry_run": asker.dry_run}
        _log.info("removals asked", request=id, files=len(files), directories=len(directories), **said)
        if not asker.dry_run:
            requests_made.append(id)
            steps.reach("check.orphans-requested")
        return id

    return ask

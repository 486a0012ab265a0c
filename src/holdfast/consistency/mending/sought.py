"""Sought: files that a site should have and has not got. Any orphan of their size may be one of them, moved.

Rules
  * Of a file that nobody else has to keep, such an orphan stays for good.
  * Of one that others have, by the inventory's word, it stays until a proved copy
    of that has come: their word is hearsay until then.
  * The same holds for what is expected in a place that was not listed or not
    believed, and for what was ignored: nobody knows whether it is there.
  * A part of a copy is no moved file, unless nobody else has that.
  * Meant are files that are missing, wrong or awaited at the site by a report, and
    those that its replicas lack, asked for or not; the latter only if nobody has them.
  * Only READY sites count as having a file, and only what no deletion asks for is had to keep.

Pure: a snapshot and findings in, sizes out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from holdfast.consistency.classes import MAY_BE_LACKING, UNSEEN
from holdfast.consistency.findings import Finding
from holdfast.inventory.copies import GoodCopies
from holdfast.inventory.store import Snapshot
from holdfast.model import names, pfn
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.storage import parts


@dataclass(frozen=True, slots=True)
class Sought:
    """The sizes of files that a site has not got, each with the LFN of one: those that others have, and all else."""

    lacking: Mapping[int, str]
    kept_by_nobody: Mapping[int, str]

    def reason(self, orphan: Finding) -> str:
        """Why an orphan may be one of them; "" if it is none."""
        if orphan.size in self.kept_by_nobody:
            return f"may be a moved last copy of {self.kept_by_nobody[orphan.size]}"
        if orphan.size in self.lacking and not parts.is_part_name(names.split(orphan.path)[1]):
            return f"may be a moved copy of {self.lacking[orphan.size]}, which is not back yet"
        return ""


def sought_files(view: Snapshot, site: str, wrong: Iterable[Finding]) -> Sought:
    """What a site has not got. ``wrong`` are the findings of a report, those ``MAY_BE_LACKING`` at least."""
    lacking: dict[int, str] = {}
    kept_by_nobody: dict[int, str] = {}
    named: dict[BlockKey, list[Finding]] = {}
    hidden: set[str] = set()
    for finding in wrong:
        if finding.cls in UNSEEN and finding.n_files:
            hidden.add(finding.path)
        elif finding.cls in MAY_BE_LACKING and finding.block is not None:
            lacking.setdefault(finding.size, finding.lfn)
            named.setdefault(finding.block, []).append(finding)
    for lfn, size in _expected_in(view, site, hidden):
        lacking.setdefault(size, lfn)
    partial = {replica.block: replica for replica in view.replicas(site=site) if not replica.is_complete}
    copies = GoodCopies(view, {**named, **partial}.keys())
    blocks = copies.blocks
    wanted = {key: FileSet.of(each.ordinal for each in found) for key, found in named.items() if key in blocks}
    for key, replica in partial.items():
        n_files = blocks[key].n_files
        wanted[key] = wanted.get(key, FileSet()) | (FileSet.full(n_files) - replica.files(n_files))
    for key, files in _kept_by_nobody(copies, site, wanted):
        columns = view.files(key)
        for ordinal in files:
            kept_by_nobody.setdefault(columns.sizes[ordinal], columns.lfn(ordinal))
    for key in named.keys() - blocks.keys():  # Its dataset went since the report: nobody can say who has them.
        for finding in named[key]:
            kept_by_nobody.setdefault(finding.size, finding.lfn)
    return Sought(lacking, kept_by_nobody)


def _expected_in(view: Snapshot, site: str, places: Collection[str]) -> Iterator[tuple[str, int]]:
    """LFN and size of the files that a site should have at or below some places."""
    rules = view.site(site).first_door.rules
    for replica in view.replicas(site=site) if places else ():
        columns = view.files(replica.block)
        for ordinal in replica.files(len(columns)):
            lfn = columns.lfn(ordinal)
            path = pfn.path_of(rules, lfn)
            while path is not None:
                if path in places:
                    yield lfn, columns.sizes[ordinal]
                path = None if path == "/" or path in places else names.split(path)[0]


def _kept_by_nobody(
    copies: GoodCopies, site: str, wanted: Mapping[BlockKey, FileSet]
) -> Iterator[tuple[BlockKey, FileSet]]:
    """Those of the wanted files that no other READY site holds to keep, by block."""
    for key, files in sorted(wanted.items()):
        for staying in copies.staying(key, besides=site).values():
            files = files - staying
        if files:
            yield key, files

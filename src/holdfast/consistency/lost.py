"""Lost: files that a site has not got and nobody else has to keep. Any orphan of their size may be one of them, moved.

Meant are files that are missing or wrong at the site by a report, and those that
its replicas lack, asked for or not. Only READY sites count as having a file, and
only what no deletion asks for is had to keep.

Pure: a snapshot and findings in, sizes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from holdfast.consistency.findings import Finding
from holdfast.inventory import deletion
from holdfast.inventory.store import Snapshot
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import Block, SiteStatus


def lost_sizes(view: Snapshot, site: str, wrong: Iterable[Finding]) -> dict[int, str]:
    """The sizes of lost files, each with one of their LFNs. ``wrong`` is missing or wrong by a report."""
    lost: dict[int, str] = {}
    named: dict[BlockKey, list[Finding]] = {}
    for finding in wrong:
        if finding.block is not None:
            named.setdefault(finding.block, []).append(finding)
    partial = {replica.block: replica for replica in view.replicas(site=site) if not replica.is_complete}
    blocks = view.find_blocks({**named, **partial})
    wanted = {key: FileSet.of(each.ordinal for each in found) for key, found in named.items() if key in blocks}
    for key, replica in partial.items():
        n_files = blocks[key].n_files
        wanted[key] = wanted.get(key, FileSet()) | (FileSet.full(n_files) - replica.files(n_files))
    for key, files in _kept_by_nobody(view, site, blocks, wanted):
        columns = view.files(key)
        for ordinal in files:
            lost.setdefault(columns.sizes[ordinal], columns.lfn(ordinal))
    for key in named.keys() - blocks.keys():  # Its dataset went since the report: nobody can say who has them.
        for finding in named[key]:
            lost.setdefault(finding.size, finding.lfn)
    return lost


def _kept_by_nobody(
    view: Snapshot, site: str, blocks: Mapping[BlockKey, Block], wanted: Mapping[BlockKey, FileSet]
) -> Iterator[tuple[BlockKey, FileSet]]:
    """Those of the wanted files that no other READY site holds to keep, by block."""
    ready = {each.name for each in view.sites() if each.status is SiteStatus.READY} - {site}
    going = {dataset: deletion.condemned(view, dataset) for dataset in {key.dataset for key in wanted}}
    replicas = view.find_replicas_of_blocks(wanted)
    for key, files in sorted(wanted.items()):
        for each in replicas[key]:
            if each.site in ready:
                doomed = going[key.dataset].get((key.block, each.site), FileSet())
                files = files - (each.files(blocks[key].n_files) - doomed)
        if files:
            yield key, files

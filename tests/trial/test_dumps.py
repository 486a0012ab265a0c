"""What a simulated site hands out: a listing that Holdfast reads, and a table, each with the damage that the book has.

Method: small dumps are written and read back; every damage has to show, and nothing else.
"""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.tables import ENTRIES, DirectoryState
from trial.amounts import of_scale
from trial.book import Book, Kind
from trial.dumps import DumpSite
from trial.files import directory_of, files_of
from trial.plan import Plan
from trial.real_sites import PAST_S

PLAN = Plan(of_scale(0.001))


def site(name: str, folder: Path) -> tuple[DumpSite, Book]:
    made, book = DumpSite(name, list(PLAN.blocks_at(name)), folder), Book(())
    made.damage(PLAN.amounts, book, seed=1)
    made.hand_out()
    return made, book


def shown(made: DumpSite) -> dict[str, tuple[int, int]]:
    """Size and time of each file that the dump tells of."""
    if not made.is_listing:
        rows = pq.read_table(made.place).to_pylist()
        return {row["path"]: (row["size"], row["mtime"]) for row in rows}
    rows = [row for batch in Listing.open(made.place).batches(ENTRIES) for row in batch.to_pylist()]
    return {f"{row['dir']}/{row['name']}": (row["size"], row["mtime"]) for row in rows}


@pytest.mark.parametrize("name", PLAN.dumps)
def test_a_dump_shows_every_damage_and_nothing_else(name: str, tmp_path: Path) -> None:
    made, book = site(name, tmp_path)
    found, kinds = shown(made), {damage.path: damage.kind for damage in book.damages}
    assert (Kind.ALTERED in kinds.values()) != (Kind.UNLISTED in kinds.values())
    hidden = {path for path, kind in kinds.items() if kind is Kind.UNLISTED}
    for file in (file for block in made.blocks for file in files_of(block)):
        kind = kinds.get(file.lfn)
        if kind in (Kind.MISSING, Kind.LOST_SUBTREE) or file.lfn.rpartition("/")[0] in hidden:
            assert file.lfn not in found
        else:
            size, _ = found.pop(file.lfn)
            assert (size == file.size) == (kind is not Kind.TRUNCATED)
    ages = {kinds[path]: time.time() - mtime for path, (_, mtime) in found.items()}
    assert set(ages) == {Kind.ORPHAN_OLD, Kind.ORPHAN_YOUNG}
    assert ages[Kind.ORPHAN_YOUNG] < PAST_S / 2 < ages[Kind.ORPHAN_OLD]


@pytest.mark.parametrize("name", PLAN.dumps)
def test_a_site_that_has_put_itself_right_shows_what_it_should_have(name: str, tmp_path: Path) -> None:
    made, _ = site(name, tmp_path)
    made.mend()
    made.hand_out()
    wanted = {file.lfn: file.size for block in made.blocks for file in files_of(block)}
    assert {path: size for path, (size, _) in shown(made).items()} == wanted


def test_a_listing_tells_of_each_directory_what_became_of_it(tmp_path: Path) -> None:
    name = next(name for name in PLAN.dumps if int(name[-1]) % 2 == 0)
    made, book = site(name, tmp_path)
    states = {row.dir: row.state for row in Listing.open(made.place).directories()}
    assert states["/"] == states["/store/trial"] == DirectoryState.LISTED
    failed = [damage.path for damage in book.damages if damage.kind is Kind.UNLISTED]
    assert [dir for dir, state in states.items() if state == DirectoryState.FAILED] == failed
    lost = {damage.path.rpartition("/")[0] for damage in book.damages if damage.kind is Kind.LOST_SUBTREE}
    assert {directory_of(block) for block in made.blocks} - set(states) == lost

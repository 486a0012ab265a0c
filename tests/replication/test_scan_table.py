"""The room's tables: what a digest survives, who owns a publication, pages. On a real SQLite file."""

from __future__ import annotations

import pytest
from publishing import KEY, SITE

from holdfast.inventory.sql_store import SqlStore
from holdfast.model import names
from holdfast.model.changes import ChangeSet, CreateDataset, PutSite
from holdfast.model.records import Dataset
from holdfast.replication import scan_table
from holdfast.replication.publication import Publication
from holdfast.replication.scan_table import Claim, Read, ScannedFile, ScanTable, TakenOver, Totals

PUBLICATION = Publication(KEY, SITE, "/data")


def _found(name: str, *, size: int = 10, mtime_ns: int = 5, version: str = "v1", dir: str = "/data") -> ScannedFile:
    return ScannedFile(dir, name, size, mtime_ns, version)


def _read(found: ScannedFile, read_us: int = 99) -> Read:
    return Read(found, "00000001", "ab" * 32, read_us)


@pytest.fixture
def table(store: SqlStore) -> ScanTable:
    return ScanTable(store)


@pytest.fixture
def claim(table: ScanTable) -> Claim:
    """A publication with one file, which has been read."""
    claim = table.claim(PUBLICATION)
    table.keep(claim, [_found("a")])
    table.keep_digests(claim, [_read(_found("a"))])
    return claim


def _n_read(table: ScanTable, claim: Claim) -> int:
    return table.totals(claim).n_read


def test_a_digest_stays_while_the_file_stays(table: ScanTable, claim: Claim) -> None:
    again = table.claim(PUBLICATION)
    table.keep(again, [_found("a")])
    assert table.totals(again) == Totals(1, 10, 1, 10)
    assert [row.lfn for row in table.read_files(again)] == ["/data/a"]


@pytest.mark.parametrize("change", [{"size": 11}, {"mtime_ns": 6}, {"version": "v2"}])
def test_a_digest_goes_with_any_change_of_the_file(table: ScanTable, claim: Claim, change: dict[str, int]) -> None:
    table.keep(claim, [_found("a", **change)])  # type: ignore[arg-type]
    assert _n_read(table, claim) == 0


@pytest.mark.parametrize("change", [{"size": 11}, {"mtime_ns": 6}, {"version": "v2"}])
def test_a_digest_of_another_state_is_not_kept(table: ScanTable, claim: Claim, change: dict[str, int]) -> None:
    table.keep(claim, [_found("b")])
    table.keep_digests(claim, [_read(_found("b", **change))])  # type: ignore[arg-type]
    assert _n_read(table, claim) == 1


def test_another_algorithm_drops_all_digests(table: ScanTable, claim: Claim) -> None:
    again = table.claim(Publication(KEY, SITE, "/data", "blake3"))
    assert _n_read(table, again) == 0
    table.keep_digests(again, [_read(_found("a"))])
    assert _n_read(table, table.claim(Publication(KEY, SITE, "/data", "blake3"))) == 1


def test_what_a_listing_has_not_seen_is_dropped_and_named(table: ScanTable, claim: Claim) -> None:
    claim = table.next_turn(claim)
    table.keep(claim, [_found("b")])
    assert table.drop_unseen(claim) == (1, ["/data/a"])
    assert table.drop_unseen(claim) == (0, [])
    assert [found.lfn for page in table.listed(claim) for found in page] == ["/data/b"]


def test_new_is_what_no_earlier_listing_has_seen(table: ScanTable, claim: Claim) -> None:
    claim = table.next_turn(claim)
    table.keep(claim, [_found("a", size=3), _found("b")])
    unread = [found for page in table.listed(claim, unread_only=True) for found in page]
    assert [(found.name, found.is_new) for found in unread] == [("a", False), ("b", True)]


def test_places_do_not_mix(table: ScanTable, claim: Claim) -> None:
    other = table.claim(Publication(KEY, SITE, "/other"))
    table.keep(other, [_found("a")])
    assert _n_read(table, other) == 0
    table.forget(other)
    assert _n_read(table, claim) == 1


def test_pages_hold_everything_once_in_the_order_of_bytes(
    table: ScanTable, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_table, "PAGE_ROWS", 3)
    dirs = ["/", "/data", "/data/x", "/data-x", "/\u00e9", "/\U0001f600", "/\uffdd"]
    rows = [_found(name, dir=dir) for dir in dirs for name in ("a", "A", "\u00fc", "a.b")]
    table.keep(claim, rows)
    table.keep_digests(claim, [_read(row) for row in rows])
    expected = sorted({(row.dir.encode(), row.name.encode()) for row in rows})
    listed = [(found.dir.encode(), found.name.encode()) for page in table.listed(claim) for found in page]
    assert listed == expected
    assert [(row.dir.encode(), row.name.encode()) for row in table.read_files(claim)] == expected
    table.forget(claim)
    assert table.totals(claim) == Totals(0, 0, 0, 0)


def test_the_later_owner_stops_the_earlier_one_at_every_write(table: ScanTable, claim: Claim) -> None:
    later = table.claim(PUBLICATION)
    writes = [
        lambda: table.keep(claim, [_found("z")]),
        lambda: table.keep_digests(claim, [_read(_found("a"))]),
        lambda: table.drop_unseen(claim),
        lambda: table.next_turn(claim),
        lambda: table.forget(claim),
    ]
    for write in writes:
        with pytest.raises(TakenOver):
            write()
    assert table.totals(later) == Totals(1, 10, 1, 10)


def test_a_change_set_of_an_earlier_owner_does_nothing(store: SqlStore, table: ScanTable, claim: Claim) -> None:
    change_set = ChangeSet((PutSite(SITE), CreateDataset(Dataset(KEY))), "tester", "test")
    table.claim(PUBLICATION)
    with pytest.raises(TakenOver):
        store.commit(change_set, also=table.guard(claim))
    assert store.head().position == 0


def test_a_forgotten_claim_fits_no_later_publication(table: ScanTable, claim: Claim) -> None:
    table.forget(claim)
    later = table.claim(PUBLICATION)
    assert later.turn == claim.turn
    with pytest.raises(TakenOver):
        table.keep(claim, [_found("z")])


def test_all_places_of_a_dataset_are_claimed_at_once(table: ScanTable, claim: Claim) -> None:
    table.claim(Publication(KEY, SITE, "/other"))
    table.claim(Publication(names.dataset_key("run/raw#2"), SITE, "/data"))
    assert len(table.claim_all(KEY)) == 2
    with pytest.raises(TakenOver):
        table.next_turn(claim)


def test_a_file_that_nobody_has_read_is_never_told_as_read(table: ScanTable, claim: Claim) -> None:
    table.keep(claim, [_found("b")])
    with pytest.raises(TakenOver):
        list(table.read_files(claim))

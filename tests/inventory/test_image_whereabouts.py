"""PFNs from the image are those that the records and the sites' rules give, one file or many, whatever the rules."""

from __future__ import annotations

import random

import pytest

from holdfast.inventory.image import whereabouts
from holdfast.inventory.image.image import Image, load
from holdfast.inventory.image.tables import ImageTables, TableSizes
from holdfast.model import changes as c
from holdfast.model.errors import InvalidName
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.pfn import PfnRules, RewriteStep
from holdfast.model.records import Dataset, Door, FileColumns, Site
from holdfast.testing.memory_store import MemoryStore

GENERAL = PfnRules(((RewriteStep("/store/(mc|data)/([^/]+)/(.*)", "/disk/{1}/{0}/{2}"),),))
BY_NAME = PfnRules(((RewriteStep("/store/(.*)1(.*)", "/odd/{0}-{1}"),), (RewriteStep("(/store/.*)", "{0}"),)))
DATA = DatasetKey("/data")
KINDS = {
    "none": [PfnRules()] * 3,
    "prefix": [PfnRules.prefix("/store", f"/pool{number}") for number in range(3)],
    "prefixes that differ": [PfnRules.prefix("/store/mc", "/a"), PfnRules.prefix("/store", "/b"), PfnRules()],
    "general": [GENERAL, GENERAL, BY_NAME],
}


def _store(kind: list[PfnRules], seed: int) -> tuple[MemoryStore, list[str]]:
    chance = random.Random(seed)
    # Not in the order of their names, so that numbers and names disagree.
    sites = [Site(name, (Door("posix", f"/root-{name}/", rules),)) for name, rules in zip("CAB", kind, strict=True)]
    store = MemoryStore()
    _commit(store, *map(c.PutSite, sites), c.CreateDataset(Dataset(DATA, is_open=True)))
    lfns: list[str] = []
    for number in range(12):
        block = BlockKey(DATA, f"b{number}")
        dirs = (f"/store/{chance.choice(['mc', 'data', 'x'])}/{number % 4}", "/other")
        names = tuple(f"{number}-{row}.root" for row in range(6))
        files = FileColumns(dirs, tuple(int(row == 5) for row in range(6)), names, (1,) * 6)
        _commit(store, c.RegisterFiles(block, 0, files, chance.choice(["A", ""])))
        lfns += files.lfns()
        if chance.random() < 0.7:
            _commit(store, c.BlocksArrived("C", (block,)))
        if chance.random() < 0.5:
            _commit(store, c.BlocksArrived("B", (block,)))
            more = FileColumns(("/store/mc",), (0,), (f"{number}-more",), (1,))
            _commit(store, c.RegisterFiles(block, 6, more))
            lfns += more.lfns()
    return store, lfns


def _commit(store: MemoryStore, *changes: c.Change) -> None:
    store.commit(c.ChangeSet(changes, "me", "why"))


def _pfn(door: Door, lfn: str) -> str | None:
    try:
        return door.pfn(lfn)
    except InvalidName:
        return None


def _expected(store: MemoryStore, lfn: str) -> list[str] | None:
    with store.snapshot() as view:
        (record,) = view.lookup([lfn])
        if record is None:
            return None
        holding = [each for each in view.replicas(block=record.block) if each.holds(record.ordinal)]
        found = [_pfn(view.site(each.site).first_door, lfn) for each in holding]
    return [pfn for pfn in found if pfn is not None]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("folds", [False, True])
def test_pfns_are_those_of_the_records(kind: str, folds: bool) -> None:
    store, lfns = _store(KINDS[kind], seed=len(kind))
    with store.snapshot() as snapshot:
        image = load(snapshot)
    if folds:
        image = Image(ImageTables.empty("", TableSizes(chunk_blocks=4, changed_min=-1)))
        image.apply_all(store.entries())
        image.fold()
    asked = [*lfns, "/store/mc/none", *lfns[:5]]
    random.Random(1).shuffle(asked)
    expected = [_expected(store, lfn) for lfn in asked]
    assert len(asked) > whereabouts.FEW
    assert image.snapshot().pfns(asked) == expected
    assert [image.snapshot().pfns([lfn])[0] for lfn in asked] == expected
    assert any(expected)


def test_what_is_no_lfn_is_told() -> None:
    image = Image.empty()
    with pytest.raises(InvalidName):
        image.snapshot().pfns(["/a", "b"])
    assert image.snapshot().pfns([]) == []


LONG = "/" + "/".join(["n\u00e9" + "n" * 197] * 4)
FRONTS = {
    "one that fits and one that does not": [("", "/" + "p" * 199), ("", "/p"), ("", "/" + "p" * 230)],
    "of which one makes no paths": [("", "p"), ("", "/p"), ("", "/p/")],
}


@pytest.mark.parametrize("fronts", FRONTS.values(), ids=FRONTS)
def test_what_would_be_no_path_is_left_out(fronts: list[tuple[str, str]]) -> None:
    store = MemoryStore()
    _commit(store, *(c.PutSite(Site(name, (Door("posix", f"/root-{name}"),))) for name in "ABC"))
    _commit(store, c.CreateDataset(Dataset(DATA, is_open=True)))
    lfns = [f"/store/{number}" for number in range(40)] + [f"{LONG}/{length * 'x'}" for length in range(10, 50)]
    for number, lfn in enumerate(lfns):
        directory, _, name = lfn.rpartition("/")
        _commit(store, c.RegisterFiles(BlockKey(DATA, str(number)), 0, FileColumns((directory,), (0,), (name,), (1,))))
        _commit(store, *(c.BlocksArrived(site, (BlockKey(DATA, str(number)),)) for site in "ABC"))
    # Their rules change when the files are there: nobody refuses that.
    rules = {name: PfnRules.prefix(*front) for name, front in zip("ABC", fronts, strict=True)}
    _commit(store, *(c.PutSite(Site(name, (Door("posix", f"/root-{name}", rules[name]),))) for name in "ABC"))
    with store.snapshot() as snapshot:
        image = load(snapshot).snapshot()
    expected = [_expected(store, lfn) for lfn in lfns]
    assert image.pfns(lfns) == expected
    assert image.pfns(lfns[:40]) == expected[:40]
    assert [image.pfns([lfn])[0] for lfn in lfns] == expected
    assert 0 < sum(len(found or ()) for found in expected) < 3 * len(lfns)


def test_sites_that_change_are_seen() -> None:
    store, lfns = _store(KINDS["none"], seed=3)
    with store.snapshot() as snapshot:
        image = load(snapshot)
    before = image.snapshot().pfns(lfns)
    _commit(store, c.PutSite(Site("C", (Door("posix", "/elsewhere"),))))
    image.apply_all(store.entries(image.head.cursor))
    after = image.snapshot().pfns(lfns)
    assert after == [_expected(store, lfn) for lfn in lfns]
    assert after != before

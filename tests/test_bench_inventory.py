"""What the benches of the inventory measure with: the made-up content, the plain objects, the rows of the table.

Method: a small inventory, made twice, written in both ways and compared; sums in two ways.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import inventory_data, inventory_store, plain_objects
from bench.inventory_data import InventoryData
from bench.row import Row
from holdfast.inventory.sql_store import SqlStore
from holdfast.model import record_checks

FILES = 1234


@pytest.fixture(scope="module")
def data() -> InventoryData:
    return inventory_data.make(FILES)


def test_equal_seeds_give_equal_content_and_what_is_kept_is_the_same(data: InventoryData, tmp_path: Path):
    kept = [inventory_data.prepare(tmp_path, FILES) for _ in range(2)]
    for again in (inventory_data.make(FILES), *kept):
        assert all(np.array_equal(getattr(data, name), getattr(again, name)) for name in vars(data))
    assert not np.array_equal(data.sizes, inventory_data.make(FILES, seed=2).sizes)


def test_lfns_are_valid_distinct_sorted_and_of_141_bytes(data: InventoryData):
    blocks = list(data.blocks())
    lfns = [lfn for block in blocks for lfn in block.files.lfns()]
    assert lfns == data.lfns(slice(0, FILES))
    assert len(set(lfns)) == len(lfns) == FILES
    assert {len(lfn) for lfn in lfns} == {inventory_data.LFN_BYTES}
    assert data.lfn(FILES - 1) == lfns[-1]
    for block in blocks:
        record_checks.check_files(block.files)
        assert list(block.files.names) == sorted(block.files.names)


def test_each_block_has_five_sites_and_a_digest_for_each_file(data: InventoryData):
    for block in data.blocks():
        assert len(set(block.sites)) == len(block.groups) == inventory_data.REPLICAS
        assert None not in block.files.checksums["adler32"]
    assert [len(block.files) for block in data.blocks()] == data.block_n_files.tolist()
    assert [sum(block.files.sizes) for block in data.blocks()] == data.block_sizes.tolist()


@pytest.mark.parametrize("general", [False, True])
def test_every_site_has_a_place_for_every_lfn(data: InventoryData, general: bool):
    sites = inventory_data.sites(general=general)
    for site in sites:
        record_checks.check_site(site)
    assert len({site.first_door.pfn(data.lfn(0)) for site in sites} - {None}) == len(sites)


def test_loading_the_tables_equals_writing_through_the_interface(data: InventoryData, tmp_path: Path):
    stores = [SqlStore.create(tmp_path / name) for name in ("filled.db", "loaded.db")]
    inventory_store.fill(stores[0], data)
    inventory_store.load(stores[1], data)
    with stores[0].snapshot() as filled, stores[1].snapshot() as loaded:
        keys = [dataset.key for dataset in filled.datasets()]
        assert keys == [dataset.key for dataset in loaded.datasets()]
        for block in (block for key in keys for block in filled.blocks(key)):
            assert filled.files(block.key) == loaded.files(block.key)
        assert [filled.blocks(key) for key in keys] == [loaded.blocks(key) for key in keys]
        replicas = [[replace(each, updated_us=0) for each in view.replicas()] for view in (filled, loaded)]
        assert replicas[0] == replicas[1]
        assert len(replicas[0]) == data.n_replicas
    for store in stores:
        store.close()


def test_plain_objects_say_what_the_data_say(data: InventoryData):
    plain = plain_objects.build(data, n_blocks_with_files=data.n_blocks)
    sums: Counter[tuple[str, str]] = Counter()
    for block in data.blocks():
        for place in zip(block.sites, block.groups, strict=True):
            sums[place] += sum(block.files.sizes)
    assert plain.size_by_site_and_group() == sums
    lfn = data.lfn(777)
    (found, missing) = plain.locate([lfn, "/store/no"])
    assert missing is None
    assert found is not None
    places = {site.name: site.first_door.pfn(lfn) for site in inventory_data.sites()}
    (block,) = data.blocks(7, 8)
    assert found[1] == [places[site] for site in block.sites]
    assert plain.find([lfn, "/store/no"]) == [(plain.blocks[7], 77), None]


def test_a_row_keeps_target_and_bound():
    assert Row("", "", "", 2.0, 1.5).ok
    assert not Row("", "", "", 1.0, 1.5).ok
    assert not Row("", "", "", None, 1.5).ok
    assert not Row("", "", "", 2.0, 1.5, "at most 5 ms", False).ok
    assert Row("", "", "", 2.0, 1.5, "at most 5 ms").wanted == "1.5, at most 5 ms"
    assert Row("", "", "", 2.0).wanted == ""

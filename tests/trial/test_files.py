"""The trial's files and amounts: checksums that are computed without reading, names that are distinct, plans that hold.

Method: what is computed beside what is read; every scale that somebody would take.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from holdfast.model import record_checks
from trial.amounts import of_scale
from trial.files import SIZES, File, columns_of
from trial.plan import MEMORY, REAL, Plan, Use

SCALES = (0.0005, 0.001, 0.01, 0.1, 1.0)


@pytest.mark.parametrize("number", range(len(SIZES)))
def test_the_checksum_is_that_of_the_bytes(number: int, tmp_path: Path) -> None:
    file = File(number + 123_450)
    assert len(file.data) == file.size
    assert file.adler32 == f"{zlib.adler32(file.data):08x}"
    assert file.adler32 != File(file.number + len(SIZES)).adler32


def test_blocks_can_be_registered_and_share_no_name() -> None:
    blocks = [columns_of(block) for block in (0, 1, 99_999)]
    for block in blocks:
        record_checks.check_files(block)
    lfns = [lfn for block in blocks for lfn in block.lfns()]
    assert len(set(lfns)) == len(lfns) == 300


@pytest.mark.parametrize("scale", [0.0, -1.0, 1.5])
def test_a_scale_beyond_the_whole_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        of_scale(scale)


def test_the_whole_is_what_it_is_said_to_be() -> None:
    plan = Plan(of_scale(1.0))
    assert (plan.amounts.n_files, plan.amounts.n_datasets, plan.amounts.n_blocks) == (10_000_000, 20_000, 100_000)
    assert len(plan.sites) == 20
    assert [len(list(plan.blocks_at(site))) * 100 for site in REAL] == [250_000] * 3


@pytest.mark.parametrize("scale", SCALES)
def test_nothing_is_done_to_a_block_for_two_reasons_and_all_of_it_can_be_done(scale: float) -> None:
    plan = Plan(of_scale(scale))
    used = [block for use in Use for site in (*REAL, MEMORY[0]) for block in plan.blocks_for(use, site)]
    assert len(used) == len(set(used)) == (plan.amounts.n_real + plan.amounts.n_memory) * 5
    amounts = plan.amounts
    for site in REAL:
        assert len(plan.blocks_for(Use.LOST, site)) >= amounts.lost_blocks
        assert len(plan.blocks_for(Use.WORN, site)) * 100 >= 3 * amounts.damaged
    assert sum(len(plan.blocks_for(Use.COPIED, site)) for site in REAL) >= amounts.copied_blocks
    for site in plan.dumps:
        assert len(list(plan.blocks_at(site))) >= 5 * amounts.lost_blocks


@pytest.mark.parametrize("scale", SCALES)
def test_every_real_dataset_is_at_two_of_three_sites(scale: float) -> None:
    plan = Plan(of_scale(scale))
    for dataset in range(plan.amounts.n_real):
        sites = plan.sites_of(dataset)
        assert len({*sites, plan.third_site(dataset * 5)}) == 3

"""Equal input gives equal output, however the interpreter scatters its dictionaries and sets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

PROGRAM = """
from planning_world import NOW_US, Inventory, batch, limits, link, request, scheduled, site, sites
from holdfast.model.records import BlockFiles, CopyRequest
from holdfast.model.names import BlockKey
from planning_world import DATASET
from holdfast.operations.planning import lacking
from holdfast.operations.planning.holders import read_holders

inventory = Inventory({f"b{number}": 3 + number for number in range(6)})
copies = [CopyRequest(f"r{number}", DATASET, "BC"[number % 2], (BlockFiles("b1"), BlockFiles(f"b{number}", (0, 2))))
          for number in range(2, 6)]
for copy in copies:
    inventory.ask(copy)
with inventory.store.snapshot() as snapshot:
    waiting = []
    for number, copy in enumerate(copies):
        asked = request(number, site=copy.site, owner=f"owner{number % 3}")
        for step in lacking.steps(copy, snapshot):
            print(step)
            for new in step.batches:
                waiting.append(batch(len(waiting), asked, block=new.block, files=new.files, size=new.size))
    holders = read_holders(snapshot, {BlockKey(DATASET, each.block) for each in waiting})
    print(scheduled(waiting, holders=holders, limits=limits(9, per_link=5), sites=sites("A", "B", "C"),
                    stopped={"B": "full"}, links=link("A", "C", rate_bytes_s=5.0)))
"""


def run(hash_seed: str) -> str:
    variables = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(HERE)}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=variables, stdout=subprocess.PIPE, check=True, text=True
    ).stdout


def test_equal_input_gives_equal_output_in_every_process() -> None:
    first, *others = (run(hash_seed) for hash_seed in ("0", "1", "4711"))
    assert "Assignment(" in first
    assert "HeldBatch(" in first
    assert others == [first, first]

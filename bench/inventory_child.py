"""What the bench of the inventory measures in processes of their own, so that nothing else is in their memory.

    python -m bench.inventory_child TASK ARGUMENTS.json        prints JSON

Memory is what is resident and anonymous: mapped files do not count, whoever
maps them. LFNs that are looked up are chosen by chance over all files there are:
"scattered" each for itself, so that hardly two share a directory, or whole blocks
of them, as who asks for a dataset does.
"""

from __future__ import annotations

import ctypes
import gc
import json
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import inventory_data, our_image, plain_objects
from bench.inventory_data import BLOCK_FILES, InventoryData
from holdfast.inventory.image.snapshot import ImageSnapshot
from holdfast.inventory.sql_store import SqlStore

Result = dict[str, float]

LOOK_UPS = 100_000
SINGLES = 2_000
ROUNDS = 3
PLAIN_FILES_MAX = 1_000_000
"""Plain objects for more files would fill the memory of most machines."""
POLL_S = 0.005


def plain(arguments: dict[str, Any]) -> Result:
    """The yardsticks: the same inventory as plain objects."""
    data = _data(arguments)
    n_blocks = min(data.n_blocks, PLAIN_FILES_MAX // BLOCK_FILES)
    before = resident_bytes()
    blocks_alone = plain_objects.build(data)
    replicas = (resident_bytes() - before) / data.n_replicas
    sums = _best(blocks_alone.size_by_site_and_group)
    del blocks_alone
    few = data.first_blocks(n_blocks)
    before = resident_bytes()
    without = plain_objects.build(few)
    middle = resident_bytes()
    whole = plain_objects.build(few, n_blocks_with_files=n_blocks)
    files = (resident_bytes() - middle - (middle - before)) / few.n_files
    del without
    lfns, scattered = _of_blocks(few), _scattered(few)
    return {
        "bytes_per_replica": replicas,
        "bytes_per_file": files,
        "sums_s": sums,
        "locate_s": _best(lambda: whole.locate(lfns)) / len(lfns),
        "locate_scattered_s": _best(lambda: whole.locate(scattered)) / len(scattered),
        "find_s": _best(lambda: whole.find(lfns)) / len(lfns),
        "find_scattered_s": _best(lambda: whole.find(scattered)) / len(scattered),
        "single_s": _median(lambda lfn: whole.locate([lfn]), scattered[:SINGLES]),
        "n_replicas": data.n_replicas,
    }


def image(arguments: dict[str, Any]) -> Result:
    """Ours in memory, opened from the store, and published."""
    data = _data(arguments)
    lfns, scattered = _of_blocks(data), _scattered(data)
    store = SqlStore.open(Path(arguments["store"]))
    before = resident_bytes()
    started, cpu = time.perf_counter(), time.process_time()
    with Peak() as opening:
        opened = our_image.open_from_store(store)
    result = {"open_s": time.perf_counter() - started, "open_peak_bytes": opening.bytes - before}
    result["open_cpu_s"] = time.process_time() - cpu
    result["resident_bytes"] = resident_bytes() - before
    tables = opened.tables
    result["replica_bytes"] = tables.replicas.nbytes / data.n_replicas
    snapshot = opened.snapshot()
    result["locate_s"] = _best(lambda: our_image.locate(snapshot, lfns)) / len(lfns)
    general = our_image.with_general_rules(snapshot)
    result["locate_general_s"] = _best(lambda: our_image.locate(general, lfns)) / len(lfns)
    result["locate_scattered_s"] = _best(lambda: our_image.locate(snapshot, scattered)) / len(scattered)
    result["find_s"] = _best(lambda: our_image.find_ids(snapshot, lfns)) / len(lfns)
    result["find_scattered_s"] = _best(lambda: our_image.find_ids(snapshot, scattered)) / len(scattered)
    _check(data, snapshot, lfns)
    result["single_s"] = _median(lambda lfn: our_image.find_one(snapshot, lfn), scattered[:SINGLES])
    result["sums_s"] = _best(lambda: our_image.size_by_site_and_group(snapshot))
    started = time.perf_counter()
    our_image.publish(opened, Path(arguments["published"]))
    result["publish_s"] = time.perf_counter() - started
    return result


def merging(arguments: dict[str, Any]) -> Result:
    """The image while a twentieth more files, come in small commits, are merged into its columns."""
    data = _data(arguments)
    more = inventory_data.make(max(data.n_files // 20, BLOCK_FILES), seed=inventory_data.SEED + 1)
    before = resident_bytes()
    table = our_image.open_from_store(SqlStore.open(Path(arguments["store"]))).tables.files
    resident_bytes()  # What opening has left behind is given back before the peak is watched.
    started = time.perf_counter()
    with Peak() as peak:
        table = our_image.grow(table, (block.files for block in more.blocks()), data.n_blocks)
        table = our_image.merge(table)
    seconds = time.perf_counter() - started
    after = resident_bytes() - before
    return {"resting_bytes": after, "peak_bytes": peak.bytes - before, "grow_and_merge_s": seconds}


def _check(data: InventoryData, snapshot: ImageSnapshot, lfns: Sequence[str]) -> None:
    """AssertionError unless what we measure is right."""
    if our_image.find_ids(snapshot, lfns) != len(lfns):
        raise AssertionError("not every LFN was found")
    if {len(each or ()) for each in our_image.locate(snapshot, lfns)} != {inventory_data.REPLICAS}:
        raise AssertionError("not every LFN has five PFNs")
    if sum(our_image.size_by_site_and_group(snapshot).values()) != inventory_data.REPLICAS * int(data.sizes.sum()):
        raise AssertionError("the sums are wrong")


def published(arguments: dict[str, Any]) -> Result:
    """A process that maps what another has published and looks one file up."""
    lfn = _scattered(_data(arguments))[0]
    started = time.perf_counter()
    snapshot = our_image.open_published(Path(arguments["published"])).snapshot()
    opened = time.perf_counter()
    found = our_image.find_one(snapshot, lfn)
    looked_up = time.perf_counter()
    if found is None or len(found) != inventory_data.REPLICAS:
        raise AssertionError(f"the PFNs of {lfn} are {found}")
    return {"open_s": opened - started, "first_s": looked_up - started, "resident_bytes": resident_bytes()}


def read(arguments: dict[str, Any]) -> Result:
    """A reader beside a writer: single look-ups in the newest snapshot, until a file says that it is over."""
    lfns, over = _scattered(_data(arguments)), Path(arguments["over"])
    reader = our_image.open_published(Path(arguments["published"]))
    our_image.find_one(reader.snapshot(), lfns[0])
    Path(arguments["ready"]).touch()
    taken: list[float] = []
    while not over.exists():
        for lfn in random.Random(len(taken)).sample(lfns, 200):
            started = time.perf_counter()
            our_image.find_one(reader.snapshot(), lfn)
            taken.append(time.perf_counter() - started)
            time.sleep(0.0005)  # As a service that has something else to do, too; two would else fill two cores.
    taken.sort()
    return {"n": len(taken), "median_s": statistics.median(taken), "p999_s": taken[int(len(taken) * 0.999)]}


class Peak:
    """The most anonymous memory while something is done."""

    def __init__(self) -> None:
        self.bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._over.wait(POLL_S):
            self.bytes = max(self.bytes, _anonymous_bytes())

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.bytes = max(self.bytes, _anonymous_bytes())


def resident_bytes() -> int:
    """Anonymous memory that is in use; what was freed is given back first."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return _anonymous_bytes()


def _anonymous_bytes() -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon:")) * 1024


def _data(arguments: dict[str, Any]) -> InventoryData:
    return inventory_data.prepare(Path(arguments["folder"]), arguments["rows"])


def _scattered(data: InventoryData) -> list[str]:
    chance = random.Random(inventory_data.SEED)
    return [data.lfn(row) for row in chance.sample(range(data.n_files), min(LOOK_UPS, data.n_files))]


def _of_blocks(data: InventoryData) -> list[str]:
    chance = random.Random(inventory_data.SEED)
    blocks = chance.sample(range(data.n_blocks), min(LOOK_UPS // BLOCK_FILES, data.n_blocks))
    return [lfn for block in blocks for lfn in data.lfns(data.span(block))]


def _best(work: Callable[[], object]) -> float:
    """The least CPU of a few times, as every other time something else got in the way."""
    taken = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def _median(work: Callable[[str], object], lfns: Sequence[str]) -> float:
    """Seconds of the median call, one LFN each."""
    taken = []
    for lfn in lfns:
        started = time.perf_counter()
        work(lfn)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


TASKS: dict[str, Callable[[dict[str, Any]], Result]] = {
    "plain": plain,
    "image": image,
    "merging": merging,
    "published": published,
    "read": read,
}

if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]](json.loads(sys.argv[2]))))

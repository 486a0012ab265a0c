"""Threads that commit, and an image that is kept up and published, until the process dies at a named step.

    python killed_writers.py PLACE FOLDER STEP:COUNT

Each commit that returned is told on standard output, a line of position and
digest; whoever reads that knows what must never be lost.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from holdfast.inventory.image import sql_load
from holdfast.inventory.image.image import follow
from holdfast.inventory.image.publisher import Publisher
from holdfast.inventory.sql_store import SqlStore
from holdfast.model import steps
from holdfast.model.changes import ChangeSet, CreateDataset, PutGroup, RegisterFiles
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Dataset, FileColumns, Group
from holdfast.testing.inventory_server import SMALL
from holdfast.testing.killer import killing

THREADS = 4
COMMITS = 40
"""Of each thread."""


def write(store: SqlStore, thread: int) -> None:
    """Register a dataset block by block, and tell each success."""
    key = DatasetKey(f"/by/{os.getpid()}/{thread}")
    tell(store, ChangeSet((CreateDataset(Dataset(key, is_open=True)),), "crash", "test"))
    for number in range(COMMITS):
        names = tuple(f"f{ordinal}" for ordinal in range(20))
        files = FileColumns((f"{key.name}/{number}",), (0,) * 20, names, (number,) * 20)
        group = PutGroup(Group(f"g{os.getpid()}-{thread}-{number}"))
        tell(store, ChangeSet((RegisterFiles(BlockKey(key, f"{number}"), 0, files), group), "crash", "test"))


def tell(store: SqlStore, change_set: ChangeSet) -> None:
    head = store.commit(change_set)
    os.write(1, f"{head.position} {head.digest}\n".encode())


def main(place: str, folder: str, at: str) -> None:
    step, _, count = at.partition(":")
    store = SqlStore.open(place)
    with store.reading() as connection:
        image = sql_load.load(connection, sizes=SMALL)
    with Publisher(Path(folder)) as publisher, steps.observed(killing(step, int(count))):
        writers = [threading.Thread(target=write, args=(store, thread), daemon=True) for thread in range(THREADS)]
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            follow(store, image)
            image.fold()
            publisher.publish(image.tables)
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

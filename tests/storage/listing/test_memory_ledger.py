"""MemoryLedger: a sink gets every directory once, in batches, and is told how it ended."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.errors import BrokenInvariant, InvalidName
from holdfast.storage.driver import Entry, Kind, Stat
from holdfast.storage.listing import memory_ledger
from holdfast.storage.listing.ledger import WaitingDirectory
from holdfast.storage.listing.memory_ledger import MemoryLedger
from holdfast.storage.listing.tables import Directory, DirectoryState
from storage.listing.ledgers import a_tree, find

FOLDER = Stat(Kind.DIRECTORY, 0, 5)


class ListSink:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Directory]] = []
        self.ended: list[str] = []

    def add(self, directories: Sequence[Directory]) -> None:
        self.batches.append(directories)

    def finish(self) -> None:
        self.ended.append("finish")

    def abandon(self) -> None:
        self.ended.append("abandon")


@given(st.integers(0, 2**32))
def test_the_sink_gets_every_directory_once_and_whole(seed: int) -> None:
    tree, sink, source = a_tree(seed), ListSink(), random.Random(seed)
    ledger = MemoryLedger(sink)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_ledger, "BATCH_ROWS", 30)
        while taken := ledger.take(source.randint(1, 9)):
            for waiting in taken:
                find(ledger, waiting, tree, source)
            if ledger.due:
                ledger.save()
        ledger.finish()
        ledger.close()
    given = [directory for batch in sink.batches for directory in batch]
    assert sorted(given, key=lambda each: each.dir) == sorted(tree.values(), key=lambda each: each.dir)
    assert sink.ended == ["finish"]
    assert len(sink.batches) > 2
    assert all(batch for batch in sink.batches)


def test_it_begins_with_its_top_and_gives_the_newest_first() -> None:
    ledger = MemoryLedger(ListSink(), "/data")
    assert (ledger.waiting, ledger.take(5)) == (1, [WaitingDirectory("/data")])
    ledger.found(Directory("/data", DirectoryState.LISTED, directories=(Entry("a", FOLDER), Entry("b", FOLDER))))
    assert ledger.take(1) == [WaitingDirectory("/data/a", 5)]
    assert ledger.take(5) == [WaitingDirectory("/data/b", 5)]
    with pytest.raises(BrokenInvariant):
        ledger.found(Directory("/data", DirectoryState.LISTED))
    with pytest.raises(InvalidName):
        MemoryLedger(ListSink(), "data")


def test_closed_before_its_end_the_sink_leaves_nothing() -> None:
    sink = ListSink()
    ledger = MemoryLedger(sink)
    ledger.take(1)
    ledger.found(Directory("/", DirectoryState.LISTED))
    ledger.close()
    ledger.close()
    assert (sink.batches, sink.ended) == ([], ["abandon"])


def test_a_sink_that_fails_is_abandoned() -> None:
    class FailingSink(ListSink):
        def finish(self) -> None:
            raise OSError("no space")

    sink = FailingSink()
    ledger = MemoryLedger(sink)
    ledger.take(1)
    ledger.found(Directory("/", DirectoryState.LISTED))
    with pytest.raises(OSError, match="no space"):
        ledger.finish()
    ledger.close()
    assert sink.ended == ["abandon"]


def test_it_is_not_abandoned_under_the_sinks_feet() -> None:
    began, goes_on = threading.Event(), threading.Event()

    class SlowSink(ListSink):
        def add(self, directories: Sequence[Directory]) -> None:
            began.set()
            goes_on.wait(10)
            self.ended.append("added")

    sink = SlowSink()
    ledger = MemoryLedger(sink)
    ledger.take(1)
    ledger.found(Directory("/", DirectoryState.LISTED))
    saving = threading.Thread(target=ledger.save)
    saving.start()
    began.wait(10)
    closing = threading.Thread(target=ledger.close)
    closing.start()
    goes_on.set()
    saving.join()
    closing.join()
    assert sink.ended == ["added", "abandon"]

"""TwinWrites: change sets of which each part has a twin, and the check that whoever sees one part sees the other.

Each writer has two datasets, left and right. A write adds two groups that bear
its number, says that number in the metadata of both datasets, and, every other
time, adds the same files to both. So half a transaction, a lost write and one
done twice all show in any snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from holdfast.model import changes as c
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Dataset, Door, FileColumns, Group, Site

SIDES = ("left", "right")
FILES_EACH = 3
BLOCK_FILES = 12

Answer = dict[str, Any]


class TwinWrites:
    """The writes of one writer, in order."""

    def __init__(self, writer: int) -> None:
        self.writer = writer
        self.number = 0

    def next(self) -> c.ChangeSet:
        """The next one; its cause is its name."""
        self.number += 1
        made: list[c.Change] = [c.PutGroup(Group(f"{self.name}.left"))]
        for side in SIDES:
            if self.number % 2:
                made.append(self._files(side))
            made.append(c.UpdateDataset(DatasetKey(dataset(self.writer, side)), metadata={"last": self.number}))
        made.append(c.PutGroup(Group(f"{self.name}.right")))
        return c.ChangeSet(tuple(made), f"writer {self.writer}", self.name)

    @property
    def name(self) -> str:
        """The name of the last write."""
        return f"w{self.writer}-{self.number}"

    def _files(self, side: str) -> c.RegisterFiles:
        before = self.number // 2 * FILES_EACH
        first = before % BLOCK_FILES
        names = tuple(f"f{before + place}" for place in range(FILES_EACH))
        sizes = tuple(before + place for place in range(FILES_EACH))
        columns = FileColumns((f"/{self.writer}/{side}",), (0,) * FILES_EACH, names, sizes)
        block = BlockKey(DatasetKey(dataset(self.writer, side)), f"b{before // BLOCK_FILES:05}")
        return c.RegisterFiles(block, first, columns, site="A", group=side)


def dataset(writer: int, side: str) -> str:
    """The name of a writer's dataset."""
    return f"/writer{writer}/{side}"


def beginning(n_writers: int) -> c.ChangeSet:
    """What has to be there before the first write."""
    made: list[c.Change] = [c.PutSite(Site("A", (Door("posix", "/store"),)))]
    made += [c.PutGroup(Group(side)) for side in SIDES]
    names = [dataset(writer, side) for writer in range(n_writers) for side in SIDES]
    made += [c.CreateDataset(Dataset(DatasetKey(name), is_open=True, metadata={"last": 0})) for name in names]
    return c.ChangeSet(tuple(made), "tester", "beginning")


def question(n_writers: int) -> Answer:
    """What to ask a server to read, so that ``assert_whole`` can judge the answer."""
    names = [dataset(writer, side) for writer in range(n_writers) for side in SIDES]
    lfns = [f"/{writer}/{side}/f{place}" for writer in range(n_writers) for side in SIDES for place in (0, 31, 99)]
    return {"groups": True, "sums": True, "datasets": names, "lookup": lfns}


def assert_whole(answer: Answer, n_writers: int) -> None:
    """AssertionError if an answer to ``question`` shows half a write, lacks one or has one too many."""
    numbers = _numbers(answer["groups"])
    for writer in range(n_writers):
        left, right = (answer["datasets"][dataset(writer, side)] for side in SIDES)
        assert left == right, f"half a write of writer {writer}: {left} {right}"
        last = left["metadata"]["last"]
        for side in SIDES:
            assert numbers.get((writer, side), []) == list(range(1, last + 1)), f"writer {writer} at {last}: {numbers}"
        assert sum(n_files for _, n_files, _ in left["blocks"]) == (last + 1) // 2 * FILES_EACH
    totals = {side: [each[2:] for each in answer["sums"] if each[1] == side] for side in SIDES}
    assert totals["left"] == totals["right"], f"half a write in the sums: {totals}"
    found = answer["lookup"]
    for place in range(0, len(found), 6):
        lefts, rights = found[place : place + 3], found[place + 3 : place + 6]
        assert [each and each[1:] for each in lefts] == [each and each[1:] for each in rights]


def _numbers(groups: Iterable[str]) -> dict[tuple[int, str], Sequence[int]]:
    numbers: dict[tuple[int, str], list[int]] = {}
    for group in groups:
        name, _, side = group.partition(".")
        if side:
            writer, _, number = name.removeprefix("w").partition("-")
            numbers.setdefault((int(writer), side), []).append(int(number))
    return {key: sorted(each) for key, each in numbers.items()}

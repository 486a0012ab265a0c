"""``holdfast journal tail --lfn``: only what is about that very file, or all of its block, replica or dataset.

By changes that are committed without a command, so that each entry says exactly what it has to.
"""

from __future__ import annotations

import pytest
from commanding import VERIFIED_US, Installation

from holdfast.cli import journal
from holdfast.inventory.file_trail import FileTrail
from holdfast.model import names
from holdfast.model.changes import (
    CloseRequest,
    CreateDataset,
    FilesArrived,
    FilesGone,
    FilesVerified,
    ReduceRequest,
    RegisterFiles,
    RemoveFiles,
    RequestCopy,
)
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockFiles, CopyRequest, Dataset, Evidence, FileColumns, RequestState

KEY = names.dataset_key("open")
BLOCK = BlockKey(KEY, "b")
ONE, TWO, THREE, FOUR = (f"/open/{name}" for name in ("one", "two", "three", "four"))


def columns(*lfns: str) -> FileColumns:
    file_names = tuple(names.lfn(lfn)[1] for lfn in lfns)
    return FileColumns(("/open",), (0,) * len(lfns), file_names, (1,) * len(lfns))


@pytest.fixture
def world(installation: Installation) -> Installation:
    """Entry 4 makes a dataset to which and from which files may go: three at A, of which B has the first."""
    installation.commit(
        CreateDataset(Dataset(KEY, is_open=True)),
        RegisterFiles(BLOCK, 0, columns(ONE, TWO, THREE), site="A", verified_us=VERIFIED_US),
        RequestCopy(CopyRequest("copy-b", KEY, "B", (BlockFiles("b"),))),
        FilesArrived(BLOCK, "B", (0,), VERIFIED_US),
    )
    return installation


def gone(site: str, *ordinals: int) -> FilesGone:
    return FilesGone(BLOCK, site, ordinals, Evidence.DECLARED)


def positions(world: Installation, lfn: str, *more: str) -> list[int]:
    document = world.run.good("journal", "tail", "--json", "--lfn", lfn, *more).document
    return [entry["position"] for entry in document["entries"]]


def texts(world: Installation, lfn: str, *more: str) -> list[str]:
    lines = world.run.good("journal", "tail", "--lfn", lfn, *more).out.splitlines()
    return [line.split("  test: ", 1)[1] for line in lines]


def test_what_became_of_another_file_of_the_block_is_left_out(world: Installation) -> None:
    world.commit(gone("A", 0))
    world.commit(FilesVerified("A", (BLOCK,), VERIFIED_US))
    assert positions(world, ONE, "--site", "A") == [4, 5, 6]
    assert positions(world, TWO, "--site", "A") == [4, 6]
    assert positions(world, TWO, "--site", "A", "-n", "1") == [6]
    assert positions(world, TWO, "-n", "0") == []
    world.run("journal", "tail", "--lfn", TWO, "--site", "AA").expect_error(2, "there is no site 'AA'")


def test_of_an_entry_only_what_is_about_the_file_is_shown(world: Installation) -> None:
    world.commit(gone("A", 1), gone("A", 2), gone("B", 0))
    assert texts(world, ONE)[-1] == "files-gone open B (and 2 changes of something else)"
    assert texts(world, TWO)[-1] == "files-gone open A (and 2 changes of something else)"
    assert positions(world, ONE, "--site", "A") == [4]
    (entry,) = world.run.good("journal", "tail", "-n", "1", "--lfn", TWO, "--json").document["entries"]
    assert len(entry["changes"]) == 3


def test_another_block_of_the_dataset_is_left_out(world: Installation) -> None:
    other = BlockKey(KEY, "c")
    world.commit(RegisterFiles(other, 0, columns(FOUR), site="A"))
    world.commit(FilesVerified("A", (other,), VERIFIED_US))
    assert positions(world, ONE) == [4]
    # Of what was there before the file, only what is about all of the dataset.
    assert positions(world, FOUR) == [4, 5, 6]
    assert texts(world, FOUR)[0] == "create-dataset open (and 3 changes of something else)"


def test_the_end_of_a_request_is_about_the_files_it_was_for(world: Installation) -> None:
    world.commit(gone("A", 1, 2))
    world.commit(RequestCopy(CopyRequest("copy-a", KEY, "A", (BlockFiles("b", (1, 2)),))))
    world.commit(ReduceRequest("copy-a", (BlockFiles("b", (2,)),), "not needed"))
    world.commit(FilesArrived(BLOCK, "A", (1,), VERIFIED_US))
    world.commit(CloseRequest("copy-a", RequestState.DONE))
    world.commit(CloseRequest("copy-b", RequestState.CANCELLED))
    assert positions(world, ONE) == [4, 10]
    assert positions(world, TWO) == [4, 5, 6, 8, 9, 10]
    assert positions(world, THREE) == [4, 5, 6, 7, 9, 10]
    assert positions(world, THREE, "--site", "A") == [4, 5, 6, 7, 9]
    assert positions(world, THREE, "--site", "B", "-n", "1") == [10]


def test_the_end_of_a_request_whose_beginning_is_not_kept_counts(world: Installation) -> None:
    world.commit(gone("A", 1))
    world.commit(RequestCopy(CopyRequest("copy-a", KEY, "A", (BlockFiles("b", (1,)),))))
    world.commit(CloseRequest("copy-a", RequestState.CANCELLED))
    world.run.good("journal", "trim", "--keep-entries", "1", "--quiet")
    assert positions(world, ONE) == positions(world, TWO, "--site", "A") == [7]
    assert positions(world, ONE, "--site", "B") == []


def _forget_the_first(world: Installation) -> None:
    """Entries 5 to 8; the other files move up."""
    world.commit(gone("A", 1), CloseRequest("copy-b", RequestState.CANCELLED))
    world.commit(gone("A", 0), gone("B", 0))
    world.commit(RemoveFiles(BLOCK, (0,)))
    world.commit(gone("A", 1))


def test_files_that_have_moved_up_are_followed(world: Installation) -> None:
    _forget_the_first(world)
    assert texts(world, TWO)[1] == "files-gone open A; end-request copy-b"
    assert texts(world, THREE)[1] == "end-request copy-b (and 1 change of something else)"
    assert positions(world, TWO) == [4, 5]
    assert positions(world, THREE) == [4, 5, 8]
    world.run("journal", "tail", "--lfn", ONE).expect_error(2, f"there is no file {ONE}")


@pytest.mark.parametrize(("lfn", "found"), [(ONE, [5, 6, 7]), (TWO, [5]), (THREE, [5, 8])])
def test_what_comes_is_chosen_as_what_was(world: Installation, lfn: str, found: list[int]) -> None:
    store = world.store()
    with store.snapshot() as snapshot:
        (file,), end = snapshot.lookup([lfn]), snapshot.head
    assert file is not None
    trail = FileTrail(store, file)
    assert [each.entry.position for each in trail.last(5, until=end.position)] == [4]
    _forget_the_first(world)
    entries = list(store.entries(end.cursor, limit=journal.BATCH))
    assert [each.entry.position for each in trail.go_on(entries)] == found
    store.close()

"""DatasetRules: sites, groups, datasets, and the registration of files. Part of StoreSuite."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from holdfast.model import changes as c
from holdfast.model.errors import BadInput, Conflict, InvalidName, UnknownName
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.pfn import PfnRules, RewriteStep
from holdfast.model.records import (
    Block,
    Dataset,
    DatasetStatus,
    Door,
    FileColumns,
    Group,
    Permission,
    Site,
    SiteStatus,
    Staging,
    StorageType,
)
from holdfast.testing.store_hooks import (
    BLOCK,
    DATA,
    PROVED_US,
    STAGED,
    STAGED_BLOCK,
    START_US,
    StoreHooks,
    deletion_request,
    files,
    site,
)

MANY_FILES = 1_207
"""More than one statement of any store writes."""
CLOSED = DatasetKey("/closed")


class SiteRules(StoreHooks):
    """Sites and groups."""

    def test_a_site_is_kept_whole(self) -> None:
        rules = PfnRules(
            ((RewriteStep("(/a)(/.*)", "{1}{0}"), RewriteStep("(.*)", "/x{0}")),), ((RewriteStep("(/x.*)", "{0}"),),)
        )
        given = Site("T1_X", (Door("posix", "/x"), Door("root", "root://x//", rules)), StorageType.TAPE)
        self.commit(c.PutSite(given), c.PutSite(site("A")))
        assert self.view().site("T1_X") == given
        assert self.view().sites() == [site("A"), given]

    def test_a_site_is_replaced(self) -> None:
        self.begin()
        morgue = site("A", status=SiteStatus.MORGUE)
        self.commit(c.PutSite(morgue))
        assert self.view().site("A") == morgue
        assert self.replica("A").is_complete

    @pytest.mark.parametrize(
        "bad",
        [Site("A", ()), Site("A", (Door("posix", "/", PfnRules(((RewriteStep("(", "{0}"),),))),))],
        ids=["no door", "bad rules"],
    )
    def test_a_site_that_cannot_work_is_refused(self, bad: Site) -> None:
        self.refused(BadInput, c.PutSite(bad))
        self.refused(InvalidName, c.PutSite(replace(site("A"), name="a/b")))

    def test_a_site_is_forgotten(self) -> None:
        self.begin()
        self.commit(c.RemoveSite("C"))
        assert [each.name for each in self.view().sites()] == ["A", "B"]
        self.refused(UnknownName, c.RemoveSite("C"))

    def test_a_site_in_use_is_not_forgotten(self) -> None:
        self.begin()
        error = self.refused(Conflict, c.RemoveSite("A"), says="block replicas")
        assert error.rows == (str(BLOCK),)
        self.commit(deletion_request("/dark", at="B"))
        error = self.refused(Conflict, c.RemoveSite("B"), says="open requests")
        assert error.rows == ("deletion",)
        self.commit(c.CreateDataset(Dataset(STAGED, staging=Staging("C", "/staged"))))
        error = self.refused(Conflict, c.RemoveSite("C"), says="being published")
        assert error.rows == (str(STAGED),)

    def test_a_group_is_added_once(self) -> None:
        self.commit(c.PutGroup(Group("physics")), c.PutGroup(Group("admin")))
        self.alters_nothing(c.PutGroup(Group("physics")))
        assert self.view().groups() == ["admin", "physics"]
        self.refused(InvalidName, c.PutGroup(Group("")))


class DatasetRules(StoreHooks):
    """Datasets, staged and visible."""

    def test_a_dataset_is_kept_whole(self) -> None:
        metadata = {"run": [1, 2.5, None, True], "text": {"é": "\n"}, "big": 2**60}
        given = Dataset(DATA, DatasetStatus.PRODUCTION, "raw", "v1", metadata, is_open=True, required_copies=2)
        self.commit(c.CreateDataset(given))
        assert self.view().dataset(DATA) == replace(given, created_us=START_US)
        assert self.view().blocks(DATA) == []

    def test_a_dataset_is_created_once(self) -> None:
        self.begin()
        self.stage()
        self.refused(Conflict, c.CreateDataset(Dataset(DATA)), says="already")
        self.refused(Conflict, c.CreateDataset(Dataset(STAGED)), says="already")
        self.commit(c.CreateDataset(Dataset(DatasetKey(DATA.name, "2"))))

    @pytest.mark.parametrize(
        "bad",
        [
            {"required_copies": 0},
            {"metadata": {"a": float("nan")}},
            {"metadata": {"a": (1, 2)}},
            {"metadata": {"a": {1: 2}}},
            {"metadata": {"a": b"bytes"}},
            {"key": DatasetKey("/data", "1"), "is_open": True},
        ],
        ids=repr,
    )
    def test_a_dataset_that_cannot_be_is_refused(self, bad: dict[str, Any]) -> None:
        self.refused(BadInput, c.CreateDataset(Dataset(**{"key": DatasetKey("/data"), **bad})))

    def test_a_dataset_needs_a_valid_name_and_place(self) -> None:
        self.begin()
        self.refused(InvalidName, c.CreateDataset(Dataset(DatasetKey("a//b"))))
        self.refused(InvalidName, c.CreateDataset(Dataset(DatasetKey("a#b", "1"))))
        self.refused(InvalidName, c.CreateDataset(Dataset(DatasetKey("a#1"))))
        self.refused(UnknownName, c.CreateDataset(Dataset(STAGED, staging=Staging("none", "/staged"))))
        for directory in ("staged", "/staged/", "/staged/..", ""):
            self.refused(InvalidName, c.CreateDataset(Dataset(STAGED, staging=Staging("A", directory))))

    def test_a_dataset_is_updated_field_by_field(self) -> None:
        self.begin()
        expected = self.view().dataset(DATA)
        updates: list[dict[str, Any]] = [
            {"status": DatasetStatus.INVALID},
            {"metadata": {"a": [1]}},
            {"is_open": False},
            {"required_copies": 3},
            {"metadata": {}, "is_open": True},
        ]
        for update in updates:
            self.commit(c.UpdateDataset(DATA, **update))
            expected = replace(expected, **update)
            assert self.view().dataset(DATA) == expected
        self.alters_nothing(c.UpdateDataset(DATA))

    def test_an_update_that_cannot_be_is_refused(self) -> None:
        self.begin()
        self.stage()
        self.refused(UnknownName, c.UpdateDataset(DatasetKey("/none"), is_open=True))
        self.refused(Conflict, c.UpdateDataset(STAGED, is_open=True), says="published version")
        self.refused(BadInput, c.UpdateDataset(DATA, required_copies=0))
        self.refused(BadInput, c.UpdateDataset(DATA, metadata={"a": float("inf")}))

    def test_a_staged_dataset_is_revealed(self) -> None:
        self.begin()
        self.stage(3)
        assert [each.key for each in self.view().datasets()] == [DATA]
        assert [each.key for each in self.view().datasets(staged=True)] == [DATA, STAGED]
        self.commit(c.RevealDataset(STAGED, 3, 33))
        dataset = self.view().dataset(STAGED)
        assert (dataset.is_visible, dataset.is_open) == (True, False)
        assert self.view().datasets() == self.view().datasets(staged=True)
        self.refused(Conflict, c.RevealDataset(STAGED, 3, 33), says="already published")
        self.refused(Conflict, c.RegisterFiles(STAGED_BLOCK, 3, files(1, directory="/other")), says="closed")

    def test_only_a_whole_dataset_is_revealed(self) -> None:
        self.begin()
        self.stage()
        self.refused(Conflict, c.RevealDataset(STAGED, 0, 0))
        self.commit(c.RegisterFiles(STAGED_BLOCK, 0, files(3, directory="/staged"), site="A"))
        self.refused(Conflict, c.RevealDataset(STAGED, 2, 33), says="3 files of 33 bytes")
        self.refused(Conflict, c.RevealDataset(STAGED, 3, 34), says="3 files of 33 bytes")
        self.refused(UnknownName, c.RevealDataset(DatasetKey("/none"), 3, 33))
        other = BlockKey(STAGED, "other")
        self.commit(c.RegisterFiles(other, 0, files(1, directory="/staged/other"), site="B"))
        error = self.refused(Conflict, c.RevealDataset(STAGED, 4, 43), says="does not hold all")
        assert error.rows == (str(other),)

    def test_a_staged_dataset_is_abandoned(self) -> None:
        self.begin()
        self.commit(c.RegisterFiles(BLOCK, 4, files(1, directory="/staged", stem="other"), site="A"))
        before = self.described()
        self.stage(3)
        self.commit(c.SetPermissions((Permission("/staged", "file0", "me", "us", 0o600),)))
        self.commit(c.AbandonStaged(STAGED))
        after = self.described()
        for what in ("datasets", "replicas", "permissions"):
            assert after[what] == before[what]
        gone, other = self.view().lookup(["/staged/file0", "/staged/other0"])
        assert gone is None
        assert other is not None
        self.stage(3)
        self.refused(UnknownName, c.AbandonStaged(DatasetKey("/none")))
        self.refused(Conflict, c.AbandonStaged(DATA), says="published")


class RegistrationRules(StoreHooks):
    """New files."""

    def test_files_make_their_block(self) -> None:
        self.begin()
        assert self.view().blocks(DATA) == [Block(BLOCK, 4, 46)]
        assert self.view().files(BLOCK) == files(4)
        replica = self.replica("A")
        assert (replica.held, replica.n_files, replica.size) == (None, 4, 46)
        assert (replica.verified_us, replica.updated_us) == (PROVED_US, START_US)

    def test_files_at_no_site_have_no_replica(self) -> None:
        self.begin()
        other = BlockKey(DATA, "other")
        self.commit(c.RegisterFiles(other, 0, files(2, directory="/other")))
        assert self.view().replicas(block=other) == []
        assert self.view().blocks(DATA) == [Block(BLOCK, 4, 46), Block(other, 2, 21)]

    def test_a_replica_belongs_to_the_group_that_made_it(self) -> None:
        self.begin()
        other = BlockKey(DATA, "other")
        self.commit(c.RegisterFiles(other, 0, files(1, directory="/o"), site="B", group="physics"))
        self.commit(c.RegisterFiles(other, 1, files(1, directory="/o", first=1), site="B"))
        assert self.replica("B", other).group == "physics"
        self.refused(UnknownName, c.RegisterFiles(other, 2, files(1), site="B", group="none"))

    def test_files_are_added_at_the_end_of_the_block(self) -> None:
        self.begin()
        for first_ordinal in (0, 3, 5):
            self.refused(Conflict, c.RegisterFiles(BLOCK, first_ordinal, files(1, first=9)), says="has 4 files")
        self.refused(Conflict, c.RegisterFiles(BlockKey(DATA, "new"), 1, files(1, first=9)), says="has 0 files")
        self.commit(c.RegisterFiles(BLOCK, 4, files(2, first=4), site="A", verified_us=PROVED_US + 1))
        assert self.view().files(BLOCK) == files(6)
        replica = self.replica("A")
        assert (replica.held, replica.n_files, replica.size, replica.verified_us) == (None, 6, 75, PROVED_US)

    def test_an_unproved_file_makes_its_replica_unproved(self) -> None:
        self.begin()
        self.commit(c.RegisterFiles(BLOCK, 4, files(1, first=4), site="A"))
        assert self.replica("A").verified_us is None

    def test_a_growing_block_makes_other_replicas_partial(self) -> None:
        self.begin()
        self.copied()
        before = self.replica("B")
        self.clock.now_us += 7
        self.commit(c.RegisterFiles(BLOCK, 4, files(2, first=4), site="A"))
        assert self.replica("A").is_complete
        assert self.replica("B") == replace(before, held=FileSet.full(4))
        self.commit(c.RegisterFiles(BLOCK, 6, files(2, first=6), site="C"))
        assert self.replica("A").held == FileSet.full(6)
        assert self.replica("C").held == FileSet.of([6, 7])
        assert (self.replica("C").n_files, self.replica("C").size) == (2, 33)

    def test_an_lfn_is_registered_once(self) -> None:
        self.begin()
        self.stage(1)
        taken = self.refused(Conflict, c.RegisterFiles(BLOCK, 4, files(3, first=2)), says="/data/one/file2 and 1 more")
        assert taken.rows == ("/data/one/file2", "/data/one/file3")
        self.refused(Conflict, c.RegisterFiles(STAGED_BLOCK, 1, files(1)), says="already registered")
        self.refused(Conflict, c.RegisterFiles(BLOCK, 4, files(1, directory="/staged")), says="already registered")

    def test_an_lfn_stands_once_in_a_registration(self) -> None:
        self.begin()
        twice = FileColumns(("/d", "/d/e"), (0, 1, 0), ("x", "x", "x"), (1, 2, 3))
        assert self.refused(Conflict, c.RegisterFiles(BLOCK, 4, twice)).rows == ("/d/x",)
        halves = [replace(files(1), names=("x",)), replace(files(1), names=("x",))]
        self.refused(Conflict, *(c.RegisterFiles(BLOCK, 4 + n, half) for n, half in enumerate(halves)))

    @pytest.mark.parametrize(
        "bad",
        [
            FileColumns((), (), (), ()),
            replace(files(2), sizes=(1,)),
            replace(files(2), sizes=(1, -1)),
            replace(files(2), sizes=(2**63 - 1, 1)),
            replace(files(2), sizes=(2**63, 1)),
            replace(files(2), dir_index=(0, 1)),
            replace(files(2), dir_index=(0, -1)),
            replace(files(2), checksums={"adler32": ("0" * 8,)}),
            replace(files(2), checksums={"adler32": ("0" * 8, "0" * 7)}),
            replace(files(2), checksums={"adler32": ("0" * 8, "0000000A")}),
            replace(files(2), checksums={"md4": ("0" * 32, None)}),
        ],
        ids=lambda bad: str(bad)[:150],
    )
    def test_files_that_cannot_be_are_refused(self, bad: FileColumns) -> None:
        self.begin()
        self.refused(BadInput, c.RegisterFiles(BLOCK, 4, bad, site="A"))

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\nb", "\x7f", "a\u2028b", "x" * 256])
    def test_files_with_bad_names_are_refused(self, name: str) -> None:
        self.begin()
        self.refused(InvalidName, c.RegisterFiles(BLOCK, 4, replace(files(1), names=(name,)), site="A"))
        in_directory = replace(files(1), dirs=(f"/d/{name.replace('/', '//')}",))
        self.refused(InvalidName, c.RegisterFiles(BLOCK, 4, in_directory, site="A"))

    def test_files_need_a_place(self) -> None:
        self.begin()
        more = files(1, first=9)
        self.commit(c.CreateDataset(Dataset(CLOSED)))
        self.refused(UnknownName, c.RegisterFiles(BlockKey(DatasetKey("/none"), "b"), 0, more))
        self.refused(InvalidName, c.RegisterFiles(BlockKey(DATA, "a/b"), 0, more))
        self.refused(UnknownName, c.RegisterFiles(BLOCK, 4, more, site="none"))
        self.refused(Conflict, c.RegisterFiles(BlockKey(CLOSED, "block"), 0, more), says="closed")
        self.refused(BadInput, c.RegisterFiles(BLOCK, 4, more, site="A", verified_us=-1))
        self.refused(BadInput, c.RegisterFiles(BLOCK, 4, more, site="A", verified_us=2**63))

    def test_a_file_that_is_being_deleted_is_not_registered(self) -> None:
        self.begin()
        self.commit(deletion_request("/data/one/file5"))
        error = self.refused(Conflict, c.RegisterFiles(BLOCK, 4, files(2, first=4), site="A"), says="being deleted")
        assert error.rows == ("/data/one/file5",)
        self.commit(c.RegisterFiles(BLOCK, 4, files(1, first=4), site="A"))
        self.commit(c.RegisterFiles(BLOCK, 5, files(1, first=5), site="B"))

    def test_a_block_of_many_files_comes_back_exactly(self) -> None:
        self.begin()
        block, numbers = BlockKey(DATA, "many"), range(MANY_FILES)
        given = FileColumns(
            dirs=tuple(f"/many/{place}" for place in range(7)),
            dir_index=tuple((number * 3) % 7 for number in numbers),
            names=tuple(f"file{number}" for number in numbers),
            sizes=tuple(number * 2**33 for number in numbers),
            checksums={
                "adler32": tuple(f"{number:08x}" for number in numbers),
                "crc32c": tuple(None if number % 2 else f"{2**32 - 1 - number:08x}" for number in numbers),
                "md5": tuple(f"{number:032x}" for number in numbers),
                "sha256": tuple(f"{number:064x}" if number == 9 else None for number in numbers),
                "blake3": (None,) * MANY_FILES,
            },
        )
        self.commit(c.RegisterFiles(block, 0, given, site="B", verified_us=1))
        found = self.view().files(block)
        assert list(found.lfns()) == list(given.lfns())
        assert found.sizes == given.sizes
        assert found.checksums == {name: column for name, column in given.checksums.items() if name != "blake3"}
        assert self.view().blocks(DATA)[1] == Block(block, MANY_FILES, sum(given.sizes))
        assert self.replica("B", block).is_complete

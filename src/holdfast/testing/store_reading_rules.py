"""ReadingRules: what a snapshot answers. Part of StoreSuite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from holdfast.inventory.store import Snapshot
from holdfast.model import changes as c
from holdfast.model.checksums import DIGITS
from holdfast.model.errors import InvalidName, UnknownName
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import (
    Block,
    Dataset,
    DatasetStatus,
    FileColumns,
    FileRecord,
    Group,
    ReplicaSum,
    RequestState,
)
from holdfast.testing.driver_hooks import ODD_NAMES
from holdfast.testing.store_hooks import (
    BLOCK,
    DATA,
    STAGED,
    STAGED_BLOCK,
    StoreHooks,
    copy_request,
    deletion_request,
    files,
    site,
)

NEAR_MISSES: dict[str, tuple[Callable[[Snapshot], object], str]] = {
    "site": (lambda view: view.site("T2_CH_CERM"), "T2_CH_CERN"),
    "dataset": (lambda view: view.dataset(DatasetKey("/data/onne")), "/data/one"),
    "blocks of a dataset": (lambda view: view.blocks(DatasetKey("/data/onne")), "/data/one"),
    "replicas of a dataset": (lambda view: view.replicas(dataset=DatasetKey("/data/onne")), "/data/one"),
    "files of a block": (lambda view: view.files(BlockKey(DATA, "bloc")), "/data/one::block"),
    "replicas of a block": (lambda view: view.replicas(block=BlockKey(DATA, "bloc")), "/data/one::block"),
}


class StoreReadingRules(StoreHooks):
    """Questions and answers."""

    def test_lists_are_in_the_order_of_their_keys(self) -> None:
        names = ["b", "a", "B", "A-1", "A", "a.b", "a_b", "10", "9"]
        self.commit(*(c.PutSite(site(name)) for name in names), *(c.PutGroup(Group(name)) for name in names))
        keys = [DatasetKey(name, version) for name in ("/b", "/é", "/B", "/\U0001f4be", "/\uffee") for version in "21"]
        self.commit(*(c.CreateDataset(Dataset(key)) for key in keys))
        many = DatasetKey("/many")
        self.commit(c.CreateDataset(Dataset(many, is_open=True)))
        for name in names:
            self.commit(c.RegisterFiles(BlockKey(many, name), 0, files(1, directory=f"/{name}"), site="b"))
            self.commit(copy_request(name, dataset=many, to="a", blocks=[name]))
        view, ordered = self.view(), sorted(names)
        assert [each.name for each in view.sites()] == view.groups() == ordered
        assert [each.key for each in view.datasets()] == sorted([*keys, many])
        assert [each.key.block for each in view.blocks(many)] == ordered
        found = [(each.block.block, each.site) for each in view.replicas(dataset=many)]
        assert found == [(name, place) for name in ordered for place in "ab"]

    def test_requests_are_in_the_order_of_their_time(self) -> None:
        self.begin()
        for id in ("z", "m", "a"):
            self.clock.now_us += 1
            self.commit(copy_request(id), copy_request(f"{id}2"), deletion_request("/dark", id=f"{id}3"))
        self.commit(c.CloseRequest("m", RequestState.DONE))
        view = self.view()
        assert [each.id for each in view.copy_requests()] == ["z", "z2", "m2", "a", "a2"]
        assert [each.id for each in view.copy_requests(only_open=False)] == ["z", "z2", "m", "m2", "a", "a2"]
        assert [each.id for each in view.deletion_requests()] == ["z3", "m3", "a3"]
        assert view.request("none") is None

    def test_replicas_are_chosen_by_dataset_block_and_site(self) -> None:
        self.begin()
        self.copied()
        self.stage(2)
        view = self.view()
        every = view.replicas()
        assert [(each.block, each.site) for each in every] == [(BLOCK, "A"), (BLOCK, "B"), (STAGED_BLOCK, "A")]
        assert view.replicas(dataset=DATA) == view.replicas(block=BLOCK) == every[:2]
        assert view.replicas(site="A") == [every[0], every[2]]
        assert view.replicas(site="B", dataset=DATA) == view.replicas(site="B", block=BLOCK) == [every[1]]
        assert view.replicas(site="none") == view.replicas(site="B", dataset=STAGED) == []
        assert view.replicas(dataset=STAGED, block=BLOCK) == []

    def test_staged_datasets_are_left_out_of_the_list_alone(self) -> None:
        self.begin()
        self.stage(1)
        view = self.view()
        assert [each.key for each in view.datasets()] == [DATA]
        assert view.dataset(STAGED).staging is not None
        assert len(view.files(STAGED_BLOCK)) == 1
        assert view.lookup(["/staged/file0"])[0] is not None

    @pytest.mark.parametrize("question", NEAR_MISSES)
    def test_an_unknown_name_is_told_with_the_nearest(self, question: str) -> None:
        self.begin()
        self.commit(c.PutSite(site("T2_CH_CERN")))
        ask, near = NEAR_MISSES[question]
        with pytest.raises(UnknownName) as caught:
            ask(self.view())
        assert near in caught.value.hint

    def test_a_look_up_finds_what_was_registered(self) -> None:
        self.begin()
        checksums = {"adler32": ("00000001", None), "sha256": (None, "a" * 64)}
        more = replace(files(2, first=4), checksums=checksums)
        self.commit(c.RegisterFiles(BLOCK, 4, more))
        found = self.view().lookup(["/data/one/file5", "/data/one/file1", "/data/one/file4"])
        assert found == [
            FileRecord("/data/one/file5", BLOCK, 5, 15, {"sha256": "a" * 64}),
            FileRecord("/data/one/file1", BLOCK, 1, 11, {"adler32": "00000001"}),
            FileRecord("/data/one/file4", BLOCK, 4, 14, {"adler32": "00000001"}),
        ]

    def test_a_look_up_of_many_keeps_their_order(self) -> None:
        self.begin()
        many = BlockKey(DATA, "many")
        dirs = tuple(f"/many/{number}" for number in range(50))
        numbers = range(1500)
        columns = FileColumns(dirs, tuple(n % 50 for n in numbers), tuple(f"f{n}" for n in numbers), (1,) * 1500)
        self.commit(c.RegisterFiles(many, 0, columns))
        asked = []
        for number in range(1000):
            known = (number * 7) % 1500
            place = known % 50
            asked.append((f"/many/{place}/f{known}", known))
            if number % 10 == 0:
                asked.append((f"/many/{(place + 1) % 50}/f{known}", -1))
                asked.append((f"/none/{place}/f{known}", -1))
        asked.append(asked[0])
        found = self.view().lookup([lfn for lfn, _ in asked])
        assert [-1 if each is None else each.ordinal for each in found] == [ordinal for _, ordinal in asked]
        assert all(each is None or each.lfn == lfn for each, (lfn, _) in zip(found, asked, strict=True))

    @pytest.mark.parametrize("lfn", ["", "relative", "/a//b", "/a/../b", "/a/", "/", "/a\nb", "/\udcff"])
    def test_a_look_up_of_what_is_no_lfn_is_refused(self, lfn: str) -> None:
        self.begin()
        with pytest.raises(InvalidName):
            self.view().lookup(["/data/one/file1", lfn])

    def test_a_look_up_of_nothing_finds_nothing(self) -> None:
        assert self.view().lookup([]) == []
        assert self.view().lookup(["/a"]) == [None]

    def test_odd_names_come_back_exactly(self) -> None:
        self.begin()
        odd = tuple(dict.fromkeys(ODD_NAMES))
        dirs = ("/", *(f"/{name[:100]}" for name in odd))
        places = tuple(range(len(dirs)))
        columns = [FileColumns(dirs, (place,) * len(odd), odd, (1,) * len(odd)) for place in places]
        for place in places:
            self.commit(c.RegisterFiles(BlockKey(DATA, f"b{place}"), 0, columns[place], site="A"))
        for place in places:
            lfns = list(columns[place].lfns())
            assert list(self.view().files(BlockKey(DATA, f"b{place}")).lfns()) == lfns
            found = self.view().lookup(lfns)
            assert [each and (each.lfn, each.ordinal) for each in found] == [(lfn, n) for n, lfn in enumerate(lfns)]

    def test_odd_dataset_and_block_names_come_back_exactly(self) -> None:
        odd = [name for name in ODD_NAMES if "#" not in name and "::" not in name and name == name.strip()]
        for number, name in enumerate(odd):
            key = DatasetKey(name)
            block = BlockKey(key, name[:60])
            self.commit(c.CreateDataset(Dataset(key, is_open=True)))
            self.commit(c.RegisterFiles(block, 0, files(1, directory=f"/{number}")))
            assert self.view().dataset(key).key == key
            assert [each.key for each in self.view().blocks(key)] == [block]
        assert {each.key.name for each in self.view().datasets()} == set(odd)
        assert self.view().last_touched()[0].keys() == {DatasetKey(name) for name in odd}

    def test_what_has_changed_since_a_position(self) -> None:
        self.begin()
        position = self.store.head().position
        assert self.view().changed_since(position) == (frozenset(), frozenset())
        self.commit(copy_request())
        self.commit(c.PutSite(site("C")))
        self.stage()
        self.commit(c.AbandonStaged(STAGED))
        view = self.view()
        changed = [tuple(map(set, view.changed_since(since))) for since in (0, position, position + 1, position + 2)]
        assert changed == [
            ({DATA, STAGED}, {"A", "B", "C"}),
            ({DATA, STAGED}, {"B", "C"}),
            ({STAGED}, {"C"}),
            ({STAGED}, set()),
        ]
        assert view.changed_since(view.head.position) == (frozenset(), frozenset())
        assert view.last_touched() == ({DATA: position + 1, STAGED: position + 4}, {"A": 3, "B": 4, "C": 5})

    def test_what_is_there_is_found_among_many_keys(self) -> None:
        self.begin()
        self.copied()
        self.stage(2)
        view, none = self.view(), DatasetKey("/none")
        assert dict(view.find_datasets([STAGED, none, DATA, STAGED])) == {
            DATA: view.dataset(DATA),
            STAGED: view.dataset(STAGED),
        }
        keys = [BLOCK, STAGED_BLOCK, BlockKey(DATA, "none"), BlockKey(none, "block"), BLOCK]
        assert dict(view.find_blocks(keys)) == {
            BLOCK: Block(BLOCK, 4, 46),
            STAGED_BLOCK: Block(STAGED_BLOCK, 2, 21),
        }
        assert dict(view.find_files(keys)) == {key: view.files(key) for key in (BLOCK, STAGED_BLOCK)}
        assert not view.find_files(())
        every = view.replicas()
        assert dict(view.find_replicas(keys, "A")) == {BLOCK: every[0], STAGED_BLOCK: every[2]}
        assert dict(view.find_replicas(keys, "B")) == {BLOCK: every[1]}
        assert dict(view.find_replicas(keys, "C")) == dict(view.find_replicas(keys, "none")) == {}
        assert dict(view.find_replicas_of_blocks(keys)) == {BLOCK: every[:2], STAGED_BLOCK: every[2:]}
        assert not any((view.find_datasets(()), view.find_blocks(()), view.find_replicas((), "A")))
        assert not view.find_replicas_of_blocks(())

    def test_a_block_without_replicas_is_found_with_none(self) -> None:
        self.begin()
        loose = BlockKey(DATA, "loose")
        self.commit(c.RegisterFiles(loose, 0, files(1, directory="/loose")))
        assert dict(self.view().find_replicas_of_blocks([loose])) == {loose: []}

    def test_sums_are_over_all_replicas(self) -> None:
        self.begin()
        self.copied()
        self.stage(2)
        other = DatasetKey("/other")
        block = BlockKey(other, "block")
        self.commit(c.CreateDataset(Dataset(other, DatasetStatus.PRODUCTION, is_open=True)))
        self.commit(c.RegisterFiles(block, 0, files(2, directory="/other"), site="A", group="physics"))
        self.commit(c.RegisterFiles(block, 2, files(1, directory="/other", first=2), site="B", group="physics"))
        self.commit(c.AssignReplicas("B", (BLOCK,), "physics"))
        self.commit(c.UpdateDataset(DATA, status=DatasetStatus.PRODUCTION))
        production, valid = DatasetStatus.PRODUCTION, DatasetStatus.VALID
        assert self.view().sums() == [
            ReplicaSum("A", "", production, False, n_replicas=1, n_complete=1, n_files=4, size=46),
            ReplicaSum("A", "", valid, True, n_replicas=1, n_complete=1, n_files=2, size=21),
            ReplicaSum("A", "physics", production, False, n_replicas=1, n_complete=0, n_files=2, size=21),
            ReplicaSum("B", "physics", production, False, n_replicas=2, n_complete=1, n_files=5, size=58),
        ]

    def test_nothing_has_no_sum(self) -> None:
        assert self.view().sums() == []

    def test_a_snapshot_says_which_checksums_it_keeps(self) -> None:
        self.begin()
        known = {algorithm: ("0" * digits,) for algorithm, digits in DIGITS.items()}
        block = BlockKey(DATA, "all")
        self.commit(c.RegisterFiles(block, 0, replace(files(1, directory="/all"), checksums=known)))
        view = self.view()
        found = view.lookup(["/all/file0"])[0]
        assert found is not None
        assert view.digests == view.files(block).checksums.keys() == found.checksums.keys()
        assert "adler32" in view.digests

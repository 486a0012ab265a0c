"""Publishing: what is registered, what is refused and leaves nothing, what a second publish does. In memory."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from publishing import KEY, SITE, Crash, World, ruled_site

from holdfast.model import names, steps
from holdfast.model.changes import CreateDataset, PutSite, RegisterFiles, RevealDataset
from holdfast.model.errors import BadInput, Conflict, HoldfastError, PeerError, UnknownName
from holdfast.model.names import BlockKey
from holdfast.model.records import Dataset, Door, FileColumns, Site, Staging
from holdfast.replication import plan, reading
from holdfast.replication.giving_up import check_give_up, give_up
from holdfast.replication.preview import preview
from holdfast.replication.publication import Description, Phase, Preview, Publication, PublishOutcome, PublishProgress
from holdfast.replication.scan_table import ScanTable
from holdfast.storage import parts
from holdfast.storage.driver import ChangedWhileRead
from holdfast.testing.memory_driver import FULL, MemoryDriver

OTHER = names.dataset_key("run/other#1")


def _kept(world: World) -> int:
    """How many unfinished publications of the dataset the room still knows."""
    return len(ScanTable(world.store).claim_all(KEY))


def _refused(world: World, error: type[HoldfastError], words: str, **given: object) -> None:
    """A refusal leaves no dataset, no file and nothing in the room's tables."""
    with pytest.raises(error, match=words):
        world.publish(**given)  # type: ignore[arg-type]
    assert world.dataset() is None
    assert not world.reads
    assert _kept(world) == 0


def test_all_files_are_registered_with_checksums_and_shown(world: World) -> None:
    paths = world.fill(23)
    report = world.publish(description=Description("raw", "v7", {"run": "12"}, "physics", 2))
    assert report.outcome is PublishOutcome.PUBLISHED
    assert (report.n_files, report.n_blocks, report.read_files, report.reused_files) == (23, 1, 23, 0)
    assert report.size == report.read_bytes == sum(len(world.driver.get(path) or b"") for path in paths)
    assert report.position == world.position()
    assert report.seconds > 0
    found = world.files()
    assert sorted(found) == paths
    for path, digests in found.items():
        data = world.driver.get(path) or b""
        assert digests == {"adler32": f"{zlib.adler32(data):08x}", "sha256": hashlib.sha256(data).hexdigest()}
    dataset = world.dataset()
    assert dataset is not None
    assert (dataset.type, dataset.software_version, dataset.metadata) == ("raw", "v7", {"run": "12"})
    assert (dataset.is_visible, dataset.is_open, dataset.required_copies) == (True, False, 2)
    assert [(each.site, each.group, each.is_complete, each.n_files) for each in world.replicas()] == [
        ("T2_A", "physics", True, 23)
    ]
    assert _kept(world) == 0


def test_the_replica_is_verified_when_its_first_file_was_read(world: World) -> None:
    world.fill(12)
    began = world.clock()
    world.publish()
    assert [began < (replica.verified_us or 0) < world.clock() for replica in world.replicas()] == [True]


@pytest.mark.parametrize("workers", [1, 2, 16])
def test_each_file_is_read_once_whatever_the_number_of_readers(world: World, workers: int) -> None:
    paths = world.fill(23)
    world.publish(workers=workers)
    assert world.reads == dict.fromkeys(paths, 1)


def test_many_files_make_several_blocks_in_the_order_of_names(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = plan.blocks
    monkeypatch.setattr(plan, "blocks", lambda rows, algorithm: whole(rows, algorithm, files_max=10))
    world.fill(23)
    assert world.publish().n_blocks == 3
    with world.store.snapshot() as snapshot:
        blocks = [(block.key.block, block.n_files) for block in snapshot.blocks(KEY)]
    assert blocks == [("0000", 10), ("0001", 10), ("0002", 3)]
    assert list(world.files()) == sorted(world.files())


def test_blake3_takes_the_place_of_sha256(world: World) -> None:
    world.fill(2)
    world.publish(digest="blake3")
    assert {tuple(sorted(digests)) for digests in world.files().values()} == {("adler32", "blake3")}


def test_the_root_of_the_site_can_be_published(world: World) -> None:
    world.driver.put("/top", b"1")
    world.driver.put("/a/b", b"2")
    world.publish("/")
    assert sorted(world.files()) == ["/a/b", "/top"]


def test_files_are_registered_under_the_lfn_that_the_rules_give(world: World) -> None:
    site = ruled_site("/store", "/data")
    world.commit(PutSite(site))
    world.fill(3)
    world.driver.put("/data/../x".replace("/..", ""), b"x")
    world.publish(site=site)
    assert sorted(world.files()) == ["/store/d000/f0000", "/store/d000/f0001", "/store/d000/f0002", "/store/x"]


def test_parts_of_ours_are_left_out(world: World) -> None:
    world.fill(2)
    world.driver.put(f"/data/{parts.part_name()}", b"on its way")
    assert world.publish().n_files == 2


def test_a_storage_without_checksums_is_read(world: World) -> None:
    poor = MemoryDriver(
        capabilities=replace(FULL, checksums=frozenset({"adler32"})), tree=world.driver.tree, chunk_bytes=16
    )
    poor.faults = world.driver.faults
    paths = world.fill(7)
    world.publish(driver=poor)
    assert world.reads == dict.fromkeys(paths, 1)
    assert {digests["sha256"] for digests in world.files().values()} == {
        hashlib.sha256(world.driver.get(path) or b"").hexdigest() for path in paths
    }


def test_progress_tells_files_and_bytes_of_every_phase(world: World) -> None:
    world.fill(12)
    told: list[PublishProgress] = []
    report = world.publish(progress=told.append)
    assert list(dict.fromkeys(each.phase for each in told)) == list(Phase)
    for phase in Phase:
        last = [each for each in told if each.phase is phase][-1]
        assert (last.n_files, last.size) == (12, report.size)
    assert all(each.n_files_total == 12 for each in told if each.phase in (Phase.READ, Phase.REGISTER))


# What is refused.


def test_no_such_directory(world: World) -> None:
    _refused(world, BadInput, "no directory /data at T2_A")


def test_a_file_is_no_directory(world: World) -> None:
    world.driver.put("/data", b"")
    _refused(world, BadInput, "directory")


def test_a_tree_without_files(world: World) -> None:
    world.driver.tree.make_directory("/data/empty/deep")
    _refused(world, BadInput, "no file below /data")


def test_names_that_are_none_and_links_are_all_told(world: World) -> None:
    world.fill(8)
    world.driver.tree.put_other("/data/d000/link")
    world.driver.tree.put_unnameable("/data/d001", b"two\nlines")
    world.driver.tree.put_unnameable("/data", b"caf\xe9")
    with pytest.raises(BadInput) as caught:
        world.publish()
    for shown in ("/data/d000/link", "/data/d001/two\\nlines", "/data/caf\\xe9"):
        assert shown in caught.value.message
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    _refused(world, BadInput, "cannot be published")


def test_only_the_first_problems_are_shown_and_all_counted(world: World) -> None:
    for number in range(30):
        world.driver.tree.put_other(f"/data/link{number:02d}")
    _refused(world, BadInput, "link00.*and 25 more")


def test_a_file_without_an_lfn(world: World) -> None:
    world.site = ruled_site("/store", "/data/known")
    world.commit(PutSite(world.site))
    world.fill(3, top="/data/known")
    world.driver.put("/data/other", b"")
    _refused(world, BadInput, "/data/other.*rules")


def test_a_directory_that_cannot_be_listed(world: World) -> None:
    world.fill(12)
    world.driver.fail_directory("/data/d001")
    _refused(world, PeerError, "/data/d001: permission denied")


@pytest.mark.parametrize("digest", ["md5", "adler32", "rot13"])
def test_a_digest_that_proves_nothing(world: World, digest: str) -> None:
    world.fill(1)
    _refused(world, BadInput, digest, digest=digest)


def test_a_group_that_is_not_there_is_missed_before_anything_is_read(world: World) -> None:
    world.fill(1)
    _refused(world, UnknownName, "chemistry", description=Description(group="chemistry"))


@pytest.mark.parametrize("is_preview", [False, True])
def test_nothing_is_proved_behind_a_door_that_has_become_another(world: World, is_preview: bool) -> None:
    """The driver was opened by the record as it was; what it shows says nothing of what is behind the new door."""
    world.fill(1)
    world.commit(PutSite(Site(SITE.name, (Door("memory", "memory:moved"),))))
    with pytest.raises(Conflict, match="T2_A has another first door now"):
        asyncio.run(_preview(world)) if is_preview else world.publish()
    assert world.dataset() is None
    assert not world.reads


def test_what_an_earlier_publish_has_staged_is_gone_on_with_behind_the_same_door_only(world: World) -> None:
    world.fill(7)
    with steps.observed(_stop_at("publish.block-staged")), pytest.raises(Crash):
        world.publish()
    with pytest.raises(Conflict, match="T2_A has another first door now"):
        world.publish(site=Site(SITE.name, (Door("memory", "memory:elsewhere"),)))
    world.publish()
    assert world.visible() == [str(KEY)]


def _stop_at(step: str) -> Callable[[str], None]:
    def stop(reached: str) -> None:
        if reached == step:
            raise Crash

    return stop


def test_files_of_another_dataset_are_named_before_anything_is_read(world: World) -> None:
    world.fill(12)
    world.publish("/data/d001", key=OTHER)
    world.reads.clear()
    with pytest.raises(Conflict, match=r"/data/d001/f0005 belongs to dataset run/other#1.* 4 more") as caught:
        world.publish()
    assert caught.value.rows == tuple(f"/data/d001/f{number:04d}" for number in range(5, 10))
    assert not world.reads
    assert world.dataset() is None
    assert world.visible() == [str(OTHER)]


def test_files_that_another_dataset_takes_meanwhile(world: World) -> None:
    world.fill(12)
    other = names.dataset_key("run/open")

    def take(now: PublishProgress) -> None:
        if now.phase is Phase.RECHECK and world.dataset(other) is None:
            files = FileColumns(("/data/d001",), (0,), ("f0005",), (1,))
            world.commit(CreateDataset(Dataset(other, is_open=True)), RegisterFiles(BlockKey(other, "0000"), 0, files))

    with pytest.raises(Conflict, match="/data/d001/f0005 belongs to dataset run/open"):
        world.publish(progress=take)
    assert world.dataset() is None, "no later run could go on, so nothing is left staged"


def test_a_storage_that_fails_file_after_file_ends_the_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FAILURES_IN_A_ROW_MAX", 10)
    world.fill(200)

    def fail(operation: str, path: str) -> None:
        if operation == "checksum" and path > "/data/d010":
            raise PeerError("connection refused")

    world.on_call = fail
    with pytest.raises(PeerError, match="connection refused"):
        world.publish()
    assert world.reads.total() < 80
    world.on_call = None
    assert world.publish().reused_files == 50


def test_files_that_cannot_be_read_are_problems_of_their_own(world: World) -> None:
    world.fill(30)

    def fail(operation: str, path: str) -> None:
        if operation == "checksum" and path.endswith("7"):
            raise PeerError("permission denied")

    world.on_call = fail
    report = world.publish()
    assert report.outcome is PublishOutcome.INCOMPLETE
    assert [(problem.path[-5:], problem.reason) for problem in report.problems] == [
        ("f0007", "permission denied"),
        ("f0017", "permission denied"),
        ("f0027", "permission denied"),
    ]


# A dataset that is there already.


def test_a_second_publish_reads_all_and_changes_nothing(world: World) -> None:
    world.fill(12)
    world.publish(description=Description("raw"))
    position = world.position()
    report = world.publish()
    assert report.outcome is PublishOutcome.ALREADY_PUBLISHED
    assert (report.n_files, report.n_blocks, report.read_files) == (12, 1, 12)
    assert world.position() == report.position == position
    assert _kept(world) == 0


def test_a_published_dataset_is_compared_by_content(world: World) -> None:
    world.fill(12)
    world.publish()
    world.driver.flip_byte("/data/d001/f0006")
    position = world.position()
    with pytest.raises(Conflict, match="/data/d001/f0006 is another file") as caught:
        world.publish()
    assert "new version" in caught.value.hint
    assert world.position() == position
    assert _kept(world) == 0


def test_other_totals_are_told_before_anything_is_read(world: World) -> None:
    world.fill(12)
    world.publish()
    world.driver.put("/data/more", b"1")
    world.reads.clear()
    with pytest.raises(Conflict, match=r"12 files .* 13 of"):
        world.publish()
    assert not world.reads


def test_as_many_files_of_other_names_are_other_content(world: World) -> None:
    world.fill(3)
    world.publish()
    data = world.driver.get("/data/d000/f0001") or b""
    world.driver.tree.remove("/data/d000/f0001")
    world.driver.put("/data/d000/g0001", data)
    with pytest.raises(Conflict, match="g0001 is another file"):
        world.publish()


def test_only_cryptographic_digests_prove_that_content_is_the_same(world: World) -> None:
    world.fill(3)
    world.publish()
    with pytest.raises(Conflict) as caught:
        world.publish(digest="blake3")
    assert "--digest sha256" in caught.value.hint


def test_a_published_dataset_keeps_its_description(world: World) -> None:
    world.fill(3)
    world.publish(description=Description("raw", metadata={"run": "12"}))
    with pytest.raises(Conflict, match="with type 'raw'"):
        world.publish(description=Description("cooked"))
    assert world.publish(description=Description(metadata={"run": "12"})).outcome is PublishOutcome.ALREADY_PUBLISHED


def test_a_published_dataset_is_not_published_at_another_site(world: World) -> None:
    world.fill(3)
    world.publish()
    with world.store.snapshot() as snapshot:
        other = snapshot.site("T2_B")
    with pytest.raises(Conflict, match="T2_B does not hold all of it") as caught:
        world.publish(site=other)
    assert "holdfast copy run/raw#1 --to T2_B" in caught.value.hint


def test_another_version_is_another_dataset(world: World) -> None:
    world.fill(3)
    world.publish()
    world.fill(3, top="/data2")
    assert world.publish("/data2", key=names.dataset_key("run/raw#2")).outcome is PublishOutcome.PUBLISHED


# Unfinished publications.


def _leave_unfinished(world: World) -> None:
    def change(operation: str, path: str) -> None:
        if operation == "checksum" and path == "/data/d000/f0003":
            raise ChangedWhileRead("changed while it was read")

    world.on_call = change
    assert world.publish().outcome is PublishOutcome.INCOMPLETE
    world.on_call = None


def test_a_dataset_staged_elsewhere_is_a_conflict_that_names_the_place(world: World) -> None:
    world.fill(12)
    world.fill(3, top="/elsewhere")
    _leave_unfinished(world)
    with pytest.raises(Conflict, match="being published from T2_A:/data") as caught:
        world.publish("/elsewhere")
    assert "--abandon" in caught.value.hint
    assert world.publish().read_files == 1, "the mistaken call has harmed nothing"


def test_giving_up_forgets_everything_and_frees_the_name(world: World) -> None:
    world.fill(12)
    world.fill(3, top="/elsewhere")
    _leave_unfinished(world)
    give_up(world.store, KEY, actor="tester")
    assert world.dataset() is None
    assert _kept(world) == 0
    assert world.publish("/elsewhere").outcome is PublishOutcome.PUBLISHED


def test_only_what_is_unfinished_can_be_given_up(world: World) -> None:
    with pytest.raises(UnknownName, match="not being published"):
        give_up(world.store, KEY, actor="tester")
    world.fill(3)
    world.publish()
    with pytest.raises(Conflict, match="is published"):
        give_up(world.store, KEY, actor="tester")


def test_another_description_begins_anew_but_reads_nothing_again(world: World) -> None:
    world.fill(12)
    _leave_unfinished(world)
    report = world.publish(description=Description("raw", group="physics"))
    assert (report.outcome, report.read_files, report.reused_files) == (PublishOutcome.PUBLISHED, 1, 11)
    dataset = world.dataset()
    assert dataset is not None
    assert dataset.type == "raw"
    assert [replica.group for replica in world.replicas()] == ["physics"]


def test_another_digest_reads_all_again(world: World) -> None:
    world.fill(12)
    _leave_unfinished(world)
    assert world.publish(digest="blake3").read_files == 12


def test_a_dataset_staged_by_somebody_else_with_other_files_is_begun_anew(world: World) -> None:
    world.fill(12)
    _leave_unfinished(world)
    strange = FileColumns(("/data/d000",), (0,), ("f0000",), (1,), {"adler32": ("00000001",)})
    world.commit(RegisterFiles(BlockKey(KEY, "0000"), 0, strange, site="T2_A"))
    assert world.publish().outcome is PublishOutcome.PUBLISHED
    assert len(world.files()) == 12
    with pytest.raises(Conflict):
        world.commit(RevealDataset(KEY, 12, 1))


# Looking before publishing.


async def _preview(world: World, directory: str = "/data", **given: object) -> Preview:
    clock = world.clock
    return await preview(world.store, world.driver, world.site, directory, KEY, clock=clock, actor="tester", **given)  # type: ignore[arg-type]


def test_a_preview_writes_nothing_and_reads_no_file(world: World) -> None:
    paths = world.fill(23)
    position = world.position()
    found = asyncio.run(_preview(world))
    assert (found.n_files, found.lfns[0]) == (23, paths[0])
    assert len(found.lfns) == 20
    assert world.position() == position
    assert not world.reads


def test_a_preview_refuses_what_a_publish_would_refuse(world: World) -> None:
    def look(directory: str) -> None:
        asyncio.run(_preview(world, directory))

    with pytest.raises(BadInput, match="no directory"):
        look("/data")
    world.fill(3)
    world.driver.tree.make_directory("/empty")
    with pytest.raises(BadInput, match="no file"):
        look("/empty")
    world.publish(key=OTHER)
    with pytest.raises(Conflict, match="belongs to dataset"):
        look("/data")


@pytest.mark.parametrize(
    ("description", "error"),
    [
        (Description(group="nobody"), UnknownName),
        (Description(metadata={"x": float("nan")}), HoldfastError),
        (Description(required_copies=0), BadInput),
    ],
    ids=["group", "metadata", "copies"],
)
def test_a_preview_refuses_the_description_that_a_publish_refuses(
    world: World, description: Description, error: type[HoldfastError]
) -> None:
    world.fill(3)
    position = world.position()
    with pytest.raises(error) as real:
        world.publish(description=description)
    with pytest.raises(error) as dry:
        asyncio.run(_preview(world, description=description))
    assert str(dry.value) == str(real.value)
    assert world.position() == position


def test_a_preview_of_what_is_published_compares_what_it_can(world: World) -> None:
    world.fill(3)
    world.publish(description=Description(type="raw"))
    assert asyncio.run(_preview(world)).is_published
    with pytest.raises(Conflict, match="published already, with type"):
        asyncio.run(_preview(world, description=Description(type="other")))
    with pytest.raises(BadInput, match="md5"):
        asyncio.run(_preview(world, digest="md5"))
    world.driver.put("/data/more", b"x")
    with pytest.raises(Conflict, match="with other content"):
        asyncio.run(_preview(world))


def test_a_preview_of_what_is_begun_and_described_otherwise_changes_nothing(world: World) -> None:
    world.commit(CreateDataset(Dataset(KEY, type="raw", staging=Staging("T2_A", "/data"))))
    world.fill(3)
    position = world.position()
    assert not asyncio.run(_preview(world, description=Description(type="other"))).is_published
    assert world.position() == position


def test_what_giving_up_would_do_is_told_without_doing_it(world: World) -> None:
    with pytest.raises(UnknownName, match="not being published"):
        check_give_up(world.store, KEY)
    world.commit(CreateDataset(Dataset(KEY, staging=Staging("T2_A", "/data"))))
    position = world.position()
    assert check_give_up(world.store, KEY) == world.dataset()
    assert world.position() == position
    give_up(world.store, KEY, actor="tester")
    world.fill(3)
    world.publish()
    with pytest.raises(Conflict, match="is published"):
        check_give_up(world.store, KEY)


def test_a_claim_without_a_dataset_can_be_given_up(world: World) -> None:
    ScanTable(world.store).claim(Publication(KEY, world.site, "/data"))
    assert check_give_up(world.store, KEY) is None
    give_up(world.store, KEY, actor="tester")
    with pytest.raises(UnknownName):
        check_give_up(world.store, KEY)

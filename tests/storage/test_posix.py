"""PosixDriver: the contract on a real folder, and what only a real file system can do to it."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import stat as modes
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from holdfast.model.errors import BrokenInvariant, OperatorError, PeerError
from holdfast.storage.digest import Bytes, Hasher
from holdfast.storage.driver import (
    CHUNK_BYTES,
    AlreadyThere,
    ChangedWhileRead,
    Kind,
    NoSpace,
    NotADirectory,
    NotAFile,
    NotAllowed,
    NotThere,
    Stat,
    StorageDriver,
)
from holdfast.storage.parts import is_part_name
from holdfast.storage.posix import acl, noreplace
from holdfast.storage.posix import files as posix_files
from holdfast.storage.posix.driver import PosixDriver
from holdfast.testing.driver_hooks import everything, pattern, stream
from holdfast.testing.driver_suite import DriverSuite
from support.users import Unprivileged


class TestPosixDriver(DriverSuite):
    supports_links = True

    @pytest.fixture(autouse=True)
    def _storage(self, tmp_path: Path) -> None:
        self.root = tmp_path / "root"
        self.root.mkdir()
        self.beyond = tmp_path / "beyond"
        self.beyond.mkdir()
        (self.beyond / "secret").write_bytes(b"secret")

    def make_driver(self) -> StorageDriver:
        return PosixDriver(self.root, label="SITE")

    def put(self, path: str, data: bytes) -> None:
        target = self.root / path[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def get(self, path: str) -> bytes | None:
        target = self.root / path[1:]
        return target.read_bytes() if target.is_file() else None

    def make_link(self, path: str, target: str) -> None:
        link = self.root / path[1:]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)

    def outside(self) -> str:
        return str(self.beyond)

    def outside_state(self) -> object:
        state = self.beyond.stat()
        return [(p.name, p.read_bytes()) for p in sorted(self.beyond.iterdir())], state.st_mtime_ns, state.st_mode

    def test_modes_are_not_changed_through_links(self) -> None:
        self.make_links()
        (self.beyond / "secret").chmod(0o640)
        before = self.outside_state()

        async def scenario(driver: StorageDriver) -> None:
            assert isinstance(driver, PosixDriver)
            for name in ("to file", "to directory", "inside file", "dangling"):
                with pytest.raises(NotAFile):
                    await driver.set_mode(f"/links/{name}", 0o777)
                with pytest.raises(NotAFile):
                    await driver.permissions(f"/links/{name}")
            with pytest.raises(NotADirectory):
                await driver.set_mode("/links/to directory/secret", 0o777)

        self.run(scenario)
        assert self.outside_state() == before
        assert modes.S_IMODE((self.beyond / "secret").stat().st_mode) == 0o640


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def driver(root: Path) -> PosixDriver:
    return PosixDriver(root, label="SITE")


def open_handles() -> int:
    """How many descriptors we hold, without those that only wait for the garbage collector."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def names_in(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


# The root.


def test_a_root_that_is_not_there_is_the_operators_business(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for missing in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(OperatorError) as caught:
            PosixDriver(missing)
        assert caught.value.place == str(missing)
        assert caught.value.hint


def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (root / "file").write_bytes(b"data")
    (tmp_path / "link").symlink_to(root)
    assert asyncio.run(everything(PosixDriver(tmp_path / "link").read("/file"))) == b"data"


def test_a_root_exchanged_for_a_link_later_stays_the_old_one(root: Path, tmp_path: Path, driver: PosixDriver) -> None:
    (tmp_path / "beyond").mkdir()
    (tmp_path / "beyond" / "secret").write_bytes(b"secret")
    root.rename(tmp_path / "moved")
    root.symlink_to(tmp_path / "beyond")
    assert asyncio.run(driver.list("/")).entries == ()
    with pytest.raises(NotThere):
        asyncio.run(driver.stat("/secret"))


def test_a_closed_driver_lets_its_handle_go(root: Path) -> None:
    before = open_handles()
    driver = PosixDriver(root)
    assert open_handles() == before + 1
    asyncio.run(driver.close())
    assert open_handles() == before
    with pytest.raises(BrokenInvariant):
        asyncio.run(driver.stat("/"))


def test_no_call_leaks_a_handle(root: Path, driver: PosixDriver) -> None:
    (root / "link").symlink_to("/")
    (root / "big").write_bytes(pattern(3 * CHUNK_BYTES))

    async def failing_source() -> AsyncIterator[bytes]:
        yield pattern(2 * CHUNK_BYTES)
        raise ValueError

    async def read_a_little() -> None:
        chunks = driver.read("/big")
        await anext(chunks)
        await chunks.aclose()  # type: ignore[attr-defined]

    async def scenario() -> None:
        for _ in range(3):
            await driver.write("/a/b/file", stream(b"x"))
            await driver.rename("/a/b/file", "/a/b/new")
            await driver.permissions("/a/b/new")
            await driver.checksum("/a/b/new", ["md5"])
            await driver.delete("/a/b/new")
            await driver.list("/a/b")
            await read_a_little()
            for call in (
                driver.write("/link/x", stream(b"")),
                driver.write("/new", failing_source()),
                driver.write("/big", stream(b"")),
                driver.stat("/none/none"),
                everything(driver.read("/link")),
                driver.checksum("/a", ["md5"]),
                driver.rename("/a", "/b"),
                driver.permissions("/link"),
            ):
                with pytest.raises((ValueError, Exception)):
                    await call

    asyncio.run(scenario())
    before = open_handles()
    asyncio.run(scenario())
    assert open_handles() == before


# Exchanges between two calls, and in the middle of one.


def exchange_for_link(folder: Path, target: Path) -> None:
    folder.rename(folder.with_name("moved away"))
    folder.symlink_to(target)


def test_a_directory_exchanged_for_a_link_between_two_calls(root: Path, tmp_path: Path, driver: PosixDriver) -> None:
    (root / "a").mkdir()
    (root / "a" / "file").write_bytes(b"inside")
    beyond = tmp_path / "beyond"
    beyond.mkdir()
    (beyond / "file").write_bytes(b"outside")

    async def scenario() -> None:
        assert [entry.name for entry in (await driver.list("/a")).entries] == ["file"]
        exchange_for_link(root / "a", beyond)
        for call in (
            everything(driver.read("/a/file")),
            driver.delete("/a/file"),
            driver.write("/a/new", stream(b"x")),
            driver.list("/a"),
        ):
            with pytest.raises(NotADirectory):
                await call

    asyncio.run(scenario())
    assert names_in(beyond) == ["file"]
    assert (beyond / "file").read_bytes() == b"outside"


def test_a_directory_exchanged_while_a_file_is_written_into_it(root: Path, tmp_path: Path, driver: PosixDriver) -> None:
    (root / "a").mkdir()
    beyond = tmp_path / "beyond"
    beyond.mkdir()

    async def source() -> AsyncIterator[bytes]:
        yield pattern(CHUNK_BYTES)
        exchange_for_link(root / "a", beyond)
        yield b"end"

    with pytest.raises(PeerError, match="moved away") as caught:
        asyncio.run(driver.write("/a/file", source()))
    assert caught.value.retryable
    assert names_in(beyond) == []


def test_a_file_that_takes_the_name_while_we_write_is_kept(root: Path, driver: PosixDriver) -> None:
    async def source() -> AsyncIterator[bytes]:
        yield pattern(CHUNK_BYTES)
        (root / "file").write_bytes(b"somebody else's")
        yield b"end"

    with pytest.raises(AlreadyThere):
        asyncio.run(driver.write("/file", source()))
    assert names_in(root) == ["file"]
    assert (root / "file").read_bytes() == b"somebody else's"


def test_a_file_exchanged_for_a_pipe_or_device_does_not_hold_us(root: Path, driver: PosixDriver) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket")[:107])

        async def scenario() -> None:
            kinds = {entry.name: entry.stat.kind for entry in (await driver.list("/")).entries}
            assert kinds == {"pipe": Kind.OTHER, "socket": Kind.OTHER}
            for path in ("/pipe", "/socket"):
                with pytest.raises(NotAFile):
                    await asyncio.wait_for(everything(driver.read(path)), 5)
                with pytest.raises(NotAFile):
                    await asyncio.wait_for(driver.checksum(path, ["md5"]), 5)
                with pytest.raises(NotAFile):
                    await driver.delete(path)

        asyncio.run(scenario())


@pytest.mark.parametrize("what", ["link", "pipe", "directory"])
def test_a_file_exchanged_between_looking_and_opening(
    root: Path, tmp_path: Path, driver: PosixDriver, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    really = posix_files.look

    def exchanging(handle: int, name: bytes) -> os.stat_result:
        found = really(handle, name)
        (root / "file").unlink()
        if what == "link":
            (root / "file").symlink_to(tmp_path / "secret")
        elif what == "pipe":
            os.mkfifo(root / "file")
        else:
            (root / "file").mkdir()
        return found

    (root / "file").write_bytes(b"inside")
    monkeypatch.setattr("holdfast.storage.posix.files.look", exchanging)
    before = open_handles()
    with pytest.raises((NotAFile, NotADirectory)):
        asyncio.run(asyncio.wait_for(everything(driver.read("/file")), 5))
    assert open_handles() == before


# Changes while reading.


def test_a_change_of_the_same_size_is_told(root: Path, driver: PosixDriver) -> None:
    (root / "file").write_bytes(bytes(3 * CHUNK_BYTES))
    # Older kernels stamp times by the tick of the clock, up to 10 ms: what happens within one cannot be told apart.
    time.sleep(0.05)

    async def scenario() -> None:
        chunks = driver.read("/file")
        await anext(chunks)
        time.sleep(0.05)
        with open(root / "file", "r+b") as file:
            file.write(b"changed")
        with pytest.raises(ChangedWhileRead):
            await everything(chunks)

    asyncio.run(scenario())


@pytest.mark.parametrize("change", ["grow", "shrink", "replace"])
def test_a_change_under_a_checksum_is_told(
    root: Path, driver: PosixDriver, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = root / "file"
    path.write_bytes(pattern(3 * CHUNK_BYTES))

    class Meddling(Hasher):
        def update(self, data: Bytes) -> None:
            if self.size == 0:
                if change == "replace":
                    (root / "other").write_bytes(pattern(3 * CHUNK_BYTES))
                    os.replace(root / "other", path)
                else:
                    os.truncate(path, (4 if change == "grow" else 2) * CHUNK_BYTES)
            super().update(data)

    monkeypatch.setattr("holdfast.storage.posix.driver.Hasher", Meddling)
    with pytest.raises(ChangedWhileRead) as caught:
        asyncio.run(driver.checksum("/file", ["md5"]))
    assert caught.value.place == "SITE:/file"


# Names that are none of ours.


@pytest.mark.parametrize(
    ("raw", "reason"),
    [(b"caf\xe9", "UTF-8"), (b"new\nline", "control character"), (b"\x1b[31m", "control"), (b"\xff\xfe", "UTF-8")],
)
def test_a_name_that_cannot_be_ours_is_reported_raw(root: Path, driver: PosixDriver, raw: bytes, reason: str) -> None:
    (root / "file").write_bytes(b"")
    os.close(os.open(os.fsencode(root) + b"/" + raw, os.O_CREAT | os.O_WRONLY))
    listing = asyncio.run(driver.list("/"))
    assert [entry.name for entry in listing.entries] == ["file"]
    assert [entry.raw for entry in listing.unnameable] == [raw]
    assert reason in listing.unnameable[0].reason


def test_names_are_utf8_whatever_the_locale(root: Path) -> None:
    (root / "grüße").mkdir()
    (root / "grüße" / "文件").write_bytes(b"data")
    code = (
        "import asyncio, sys, pathlib\n"
        "from holdfast.storage.posix.driver import PosixDriver\n"
        "d = PosixDriver(pathlib.Path(sys.argv[1]))\n"
        "path = '/gr\\xfc\\xdfe'\n"
        "entry, = asyncio.run(d.list(path)).entries\n"
        "assert asyncio.run(d.stat(path + '/' + entry.name)).size == 4\n"
        "sys.stdout.write(ascii(entry.name) + ' ' + sys.getfilesystemencoding())\n"
    )
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "'\\u6587\\u4ef6' ascii"


def test_a_path_longer_than_the_system_takes_at_once(root: Path, driver: PosixDriver) -> None:
    deep = "/" + "/".join(["d" * 60] * 16)

    async def scenario() -> None:
        await driver.write(f"{deep}/file", stream(b"deep"))
        assert await everything(driver.read(f"{deep}/file")) == b"deep"

    asyncio.run(scenario())


# Giving a name without replacing: every way on its own.


@pytest.fixture
def handle(root: Path) -> Iterator[int]:
    number = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    yield number
    os.close(number)


@pytest.mark.parametrize("way", noreplace.WAYS)
def test_each_way_moves_and_never_replaces(root: Path, handle: int, way: noreplace.Way) -> None:
    (root / "source").write_bytes(b"source")
    (root / "taken").write_bytes(b"taken")
    with pytest.raises(FileExistsError):
        way(handle, b"source", handle, b"taken")
    assert ((root / "source").read_bytes(), (root / "taken").read_bytes()) == (b"source", b"taken")
    with pytest.raises(FileExistsError):
        way(handle, b"source", handle, b"source")
    way(handle, b"source", handle, b"target")
    assert names_in(root) == ["taken", "target"]
    assert (root / "target").read_bytes() == b"source"
    assert (root / "target").stat().st_nlink == 1


@pytest.mark.parametrize("way", noreplace.WAYS)
def test_no_way_leaves_a_trace_when_the_source_is_gone(root: Path, handle: int, way: noreplace.Way) -> None:
    with pytest.raises(FileNotFoundError):
        way(handle, b"none", handle, b"target")
    assert names_in(root) == []


def test_a_way_the_file_system_lacks_is_passed_over(root: Path, handle: int) -> None:
    tried: list[str] = []

    def lacking(*_: object) -> None:
        tried.append("lacking")
        raise PermissionError(1, "no hard links here")

    (root / "source").write_bytes(b"data")
    noreplace.move_new(handle, b"source", handle, b"target", ways=(lacking, noreplace.by_claim))
    assert tried == ["lacking"]
    assert names_in(root) == ["target"]


def test_a_repeated_link_whose_answer_was_lost_is_success(root: Path, handle: int) -> None:
    (root / "source").write_bytes(b"data")
    os.link(root / "source", root / "target")
    noreplace.by_link(handle, b"source", handle, b"target")
    assert names_in(root) == ["target"]


def test_two_names_of_one_file_become_one_when_replaced(root: Path, driver: PosixDriver) -> None:
    (root / "old").write_bytes(b"data")
    os.link(root / "old", root / "new")
    asyncio.run(driver.rename("/old", "/new", replace=True))
    assert names_in(root) == ["new"]


# Cancelling.


def test_a_cancelled_change_is_over_when_the_cancellation_is_seen(
    root: Path, driver: PosixDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "file").write_bytes(b"data")
    really = os.unlink

    def slowly(*arguments: object, **options: object) -> None:
        time.sleep(0.2)
        really(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("holdfast.storage.posix.driver.os.unlink", slowly)

    async def scenario() -> None:
        deleting = asyncio.ensure_future(driver.delete("/file"))
        await asyncio.sleep(0.05)
        deleting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deleting
        assert names_in(root) == []

    asyncio.run(scenario())


def test_a_damage_that_keeps_size_and_mtime_is_not_the_file_expected(root: Path, driver: PosixDriver) -> None:
    (root / "file").write_bytes(b"data")
    before = asyncio.run(driver.stat("/file"))
    state = (root / "file").stat()
    assert before.changed_ns == state.st_ctime_ns
    time.sleep(0.02)
    (root / "file").write_bytes(b"DATA")
    os.utime(root / "file", ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(ChangedWhileRead):
        asyncio.run(driver.delete("/file", expected=before))
    assert (root / "file").read_bytes() == b"DATA"
    after = asyncio.run(driver.stat("/file"))
    assert (after.mtime_ns, after.size) == (before.mtime_ns, before.size)
    assert after.changed_ns is not None
    assert before.changed_ns is not None
    assert after.changed_ns > before.changed_ns


# A user without rights.


def test_what_modes_forbid_is_not_allowed(unprivileged: Unprivileged) -> None:
    root = unprivileged.folder / "root"
    for name in ("closed", "unreadable", "unwritable", "open"):
        (root / name).mkdir(parents=True)
        (root / name / "file").write_bytes(b"data")
    (root / "unwritable" / "empty").mkdir()
    os.chmod(root / "open" / "file", 0o000)
    for path in (root, *root.rglob("*")):
        os.chown(path, unprivileged.uid, unprivileged.gid)
    driver = PosixDriver(root, label="SITE")
    os.chmod(root / "closed", 0o000)
    os.chmod(root / "unreadable", 0o300)
    os.chmod(root / "unwritable", 0o500)

    async def refused(call: object) -> None:
        with pytest.raises(NotAllowed) as caught:
            await call  # type: ignore[misc]
        assert caught.value.place.startswith("SITE:/")
        assert caught.value.hint

    async def scenario() -> None:
        assert len((await driver.list("/")).entries) == 4
        with unprivileged.acting():
            await refused(driver.list("/closed"))
            await refused(driver.stat("/closed/file"))
            await refused(driver.list("/unreadable"))
            assert (await driver.stat("/unreadable/file")).size == 4
            await refused(everything(driver.read("/open/file")))
            await refused(driver.checksum("/open/file", ["md5"]))
            await refused(driver.write("/unwritable/new", stream(b"x")))
            await refused(driver.write("/unwritable/deep/new", stream(b"x")))
            await refused(driver.delete("/unwritable/file"))
            await refused(driver.rename("/unwritable/file", "/open/moved"))
            await refused(driver.make_directory("/unwritable/new"))
            await refused(driver.remove_directory("/unwritable/empty"))
        os.chmod(root / "closed", 0o700)

    try:
        asyncio.run(scenario())
        assert names_in(root / "unwritable") == ["empty", "file"]
    finally:
        for name in ("closed", "unreadable", "unwritable"):
            os.chmod(root / name, 0o700)


def test_a_directory_whose_entries_cannot_be_looked_at_is_not_half_listed(unprivileged: Unprivileged) -> None:
    root = unprivileged.folder / "root"
    (root / "half").mkdir(parents=True)
    (root / "half" / "file").write_bytes(b"data")
    for path in (root, root / "half"):
        os.chown(path, unprivileged.uid, unprivileged.gid)
    driver = PosixDriver(root)
    os.chmod(root / "half", 0o400)

    async def scenario() -> None:
        await driver.list("/")
        with unprivileged.acting(), pytest.raises(NotAllowed):
            await driver.list("/half")

    try:
        asyncio.run(scenario())
    finally:
        os.chmod(root / "half", 0o700)


# Full and read-only.


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of our own with one MiB of room."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "holdfast-test", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.real("tmpfs mount")
@pytest.mark.parametrize("size", [2 * CHUNK_BYTES, 20 * CHUNK_BYTES])
def test_a_full_disk_leaves_nothing_behind(mounted: Path, size: int) -> None:
    driver = PosixDriver(mounted, label="SITE")
    (mounted / "other").write_bytes(b"stays")

    async def scenario() -> None:
        with pytest.raises(NoSpace) as caught:
            await driver.write("/a/file", stream(*[pattern(CHUNK_BYTES)] * (size // CHUNK_BYTES)))
        assert caught.value.place == "SITE:/a/file"
        assert not caught.value.retryable
        assert (await driver.list("/a")).entries == ()
        await driver.write("/a/file", stream(b"there is room again"))
        await driver.close()

    asyncio.run(scenario())
    assert (mounted / "other").read_bytes() == b"stays"


@pytest.mark.real("tmpfs mount")
def test_a_disk_without_room_for_names(tmp_path: Path) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=5", "holdfast-test", str(folder)], check=True)
    try:
        driver = PosixDriver(folder)

        async def scenario() -> None:
            writers = [driver.write(f"/file{number}", stream(b"x")) for number in range(10)]
            outcomes = await asyncio.gather(*writers, return_exceptions=True)
            assert NoSpace in {type(outcome) for outcome in outcomes}
            assert all(isinstance(outcome, NoSpace | Stat) for outcome in outcomes)
            with pytest.raises(NoSpace):
                await driver.make_directory("/a/b")
            await driver.close()

        asyncio.run(scenario())
        assert not [name for name in names_in(folder) if is_part_name(name)]
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.real("tmpfs mount")
def test_a_read_only_mount_is_read_and_not_written(root: Path, tmp_path: Path) -> None:
    (root / "a").mkdir()
    (root / "a" / "file").write_bytes(b"data")
    view = tmp_path / "view"
    view.mkdir()
    subprocess.run(["mount", "--bind", str(root), str(view)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(view)], check=True)
        driver = PosixDriver(view, label="SITE")

        async def scenario() -> None:
            assert await everything(driver.read("/a/file")) == b"data"
            for call in (
                driver.write("/a/new", stream(b"x")),
                driver.write("/new/new", stream(b"x")),
                driver.delete("/a/file"),
                driver.rename("/a/file", "/a/new"),
                driver.rename("/a/file", "/a/new", replace=True),
                driver.make_directory("/b"),
                driver.set_mode("/a/file", 0o600),
            ):
                with pytest.raises(NoSpace, match="read-only"):
                    await call
            await driver.close()

        asyncio.run(scenario())
    finally:
        subprocess.run(["umount", "--lazy", str(view)], check=True)
    assert names_in(root) == ["a"]
    assert (root / "a" / "file").read_bytes() == b"data"


# A process that dies.


def test_a_writer_that_is_killed_leaves_a_part_and_nothing_else(root: Path) -> None:
    code = (
        "import asyncio, os, pathlib, signal, sys\n"
        "from holdfast.storage.posix.driver import PosixDriver\n"
        "async def source():\n"
        "    yield bytes(1 << 21)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "    yield b''\n"
        "asyncio.run(PosixDriver(pathlib.Path(sys.argv[1])).write('/a/file', source()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(root)], check=False)
    assert done.returncode == -9
    (left,) = names_in(root / "a")
    assert is_part_name(left)


# Access control lists.


def test_an_acl_is_told(root: Path, driver: PosixDriver) -> None:
    (root / "file").write_bytes(b"")
    nobody = 0xFFFFFFFF
    entries = [
        (0x01, 6, nobody),
        (0x02, 4, 1001),
        (0x04, 4, nobody),
        (0x10, 4, nobody),
        (0x20, 0, nobody),
    ]
    raw = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(root / "file", acl.XATTR, raw)
    except OSError as error:
        pytest.skip(f"the file system of the temporary folder has no ACLs: {error}")
    assert asyncio.run(driver.permissions("/file")).acl == "user::rw-,user:1001:r--,group::r--,mask::r--,other::---"


@pytest.mark.parametrize("raw", [b"", b"\x02", struct.pack("<I", 3), struct.pack("<IHHI", 2, 3, 0, 0)])
def test_bytes_that_are_no_acl_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="an ACL"):
        acl.acl_text(raw)


def test_stat_of_knows_every_kind(root: Path) -> None:
    (root / "link").symlink_to("none")
    assert posix_files.stat_of((root / "link").lstat()).kind is Kind.OTHER
    assert posix_files.stat_of(root.stat()).kind is Kind.DIRECTORY

"""What writing, renaming, deleting and permissions have to do.

Part of ``holdfast.testing.driver_suite``, whose docstring says how to use it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from holdfast.model import names
from holdfast.model.errors import BadInput
from holdfast.storage.abilities import PermissionsDriver
from holdfast.storage.driver import (
    CHUNK_BYTES,
    AlreadyThere,
    ChangedWhileRead,
    DirectoryListing,
    DirectoryNotEmpty,
    Kind,
    NotADirectory,
    NotAFile,
    NotAllowed,
    NotThere,
    Stat,
    StorageDriver,
    Unsupported,
)
from holdfast.storage.parts import is_part_name, part_path
from holdfast.testing.driver_hooks import (
    DriverHooks,
    SourceFailedError,
    broken_stream,
    everything,
    pattern,
    refused,
    shown,
    stream,
)


class WritingRules(DriverHooks):
    """What changes a storage."""

    # Writing.

    @pytest.mark.parametrize(
        "chunks",
        [(), (b"",), (b"small",), (b"a", b"", b"b"), (pattern(3 * CHUNK_BYTES + 5), b"end"), (b"ab",) * 1000],
        ids=["nothing", "empty", "small", "pieces", "big", "many"],
    )
    def test_what_is_written_is_there(self, chunks: tuple[bytes, ...]) -> None:
        self.need("writable")

        async def scenario(driver: StorageDriver) -> None:
            stat = await driver.write("/a/b/file", stream(*chunks))
            assert stat == await driver.stat("/a/b/file")
            assert (stat.kind, stat.size) == (Kind.FILE, len(b"".join(chunks)))
            assert shown(await driver.list("/a/b")) == ["file"]

        self.run(scenario)
        assert self.get("/a/b/file") == b"".join(chunks)

    def test_writing_replaces_nothing(self) -> None:
        self.need("writable")
        self.put("/a/file", b"first")

        async def scenario(driver: StorageDriver) -> None:
            for path in ("/a/file", "/a", "/"):
                with pytest.raises(AlreadyThere):
                    await driver.write(path, stream(b"second"))
            assert shown(await driver.list("/a")) == ["file"]

        self.run(scenario)
        assert self.get("/a/file") == b"first"

    def test_writing_under_a_parts_name_replaces_nothing(self) -> None:
        self.need("writable")
        path = part_path("/a/file")
        self.put(path, b"first")
        with pytest.raises(AlreadyThere):
            self.run(lambda driver: driver.write(path, stream(b"second")))
        assert self.get(path) == b"first"

    def test_of_two_writers_of_one_name_one_succeeds(self) -> None:
        self.need("writable")

        async def scenario(driver: StorageDriver) -> list[object]:
            writers = [driver.write("/a/file", stream(str(number).encode() * 9)) for number in range(4)]
            return list(await asyncio.gather(*writers, return_exceptions=True))

        outcomes = self.run(scenario)
        losers = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert [type(loser) for loser in losers] == [AlreadyThere] * 3
        (winner,) = [number for number, outcome in enumerate(outcomes) if outcome not in losers]
        assert self.get("/a/file") == str(winner).encode() * 9
        assert shown(self.run(lambda driver: driver.list("/a"))) == ["file"]

    def test_while_it_is_written_nothing_has_the_name(self) -> None:
        self.need("writable")

        async def watched(driver: StorageDriver) -> AsyncIterator[bytes]:
            for _ in range(3):
                yield pattern(CHUNK_BYTES)
                assert self.get("/a/file") is None
                listing = await driver.list("/a") if driver.capabilities.directories else DirectoryListing(())
                assert all(is_part_name(name) for name in shown(listing))

        async def scenario(driver: StorageDriver) -> None:
            await driver.write("/a/file", watched(driver))

        self.run(scenario)
        assert self.get("/a/file") == pattern(CHUNK_BYTES) * 3

    @pytest.mark.parametrize("written", [0, 1, 3], ids=["at once", "early", "late"])
    def test_a_write_that_fails_leaves_nothing(self, written: int) -> None:
        self.need("writable")
        self.put("/a/other", b"stays")

        async def scenario(driver: StorageDriver) -> None:
            chunks = [pattern(CHUNK_BYTES)] * written
            with pytest.raises(SourceFailedError):
                await driver.write("/a/file", broken_stream(*chunks, error=SourceFailedError()))
            assert shown(await driver.list("/a")) == ["other"]
            await driver.write("/a/file", stream(b"second try"))

        self.run(scenario)
        assert self.get("/a/file") == b"second try"

    def test_the_error_of_the_source_comes_through_untouched(self) -> None:
        self.need("writable")
        error = OSError(28, "this is the source's disk, not ours")

        async def scenario(driver: StorageDriver) -> None:
            with pytest.raises(OSError, match="the source's disk") as caught:
                await driver.write("/file", broken_stream(b"x", error=error))
            assert caught.value is error

        self.run(scenario)

    def test_a_write_that_is_cancelled_leaves_nothing(self) -> None:
        self.need("writable")
        self.put("/a/other", b"stays")

        async def endless(begun: asyncio.Event) -> AsyncIterator[bytes]:
            while True:
                yield pattern(CHUNK_BYTES)
                begun.set()
                await asyncio.sleep(0)

        async def scenario(driver: StorageDriver) -> None:
            begun = asyncio.Event()
            writing = asyncio.ensure_future(driver.write("/a/file", endless(begun)))
            await begun.wait()
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
            assert shown(await driver.list("/a")) == ["other"]

        self.run(scenario)

    def test_writing_below_a_file_is_refused(self) -> None:
        self.need("writable", "directories")
        self.put("/file", b"stays")
        with pytest.raises(NotADirectory):
            self.run(lambda driver: driver.write("/file/below", stream(b"x")))
        assert self.get("/file") == b"stays"

    def test_all_calls_say_the_same_of_a_file_that_was_written(self) -> None:
        self.need("writable")

        async def scenario(driver: StorageDriver) -> None:
            written = await driver.write("/a/file", stream(b"12345"))
            assert await everything(driver.read("/a/file")) == b"12345"
            told = [await driver.stat("/a/file"), (await driver.list("/a")).entries[0].stat]
            if driver.capabilities.checksums:
                told.append((await driver.checksum("/a/file", sorted(driver.capabilities.checksums)[:1])).stat)
            assert {stat._replace(changed_ns=None) for stat in told} == {written._replace(changed_ns=None)}

        self.run(scenario)

    # Renaming.

    def test_renaming_moves_a_file(self) -> None:
        self.need("writable", "rename")
        self.put("/a/old", b"data")
        self.put("/b/other", b"")

        async def scenario(driver: StorageDriver) -> None:
            await driver.rename("/a/old", "/b/new")
            with pytest.raises(NotThere):
                await driver.stat("/a/old")

        self.run(scenario)
        assert (self.get("/a/old"), self.get("/b/new")) == (None, b"data")

    def test_renaming_replaces_nothing_unasked(self) -> None:
        self.need("writable", "rename")
        self.put("/a/old", b"old")
        self.put("/a/new", b"new")
        self.put("/b/file", b"")

        async def scenario(driver: StorageDriver) -> None:
            for target in ("/a/new", "/b", "/a/old"):
                with pytest.raises(AlreadyThere):
                    await driver.rename("/a/old", target)

        self.run(scenario)
        assert (self.get("/a/old"), self.get("/a/new")) == (b"old", b"new")

    def test_renaming_replaces_when_asked(self) -> None:
        self.need("writable", "rename")
        self.put("/a/old", b"old")
        self.put("/a/new", b"new")
        self.run(lambda driver: driver.rename("/a/old", "/a/new", replace=True))
        assert (self.get("/a/old"), self.get("/a/new")) == (None, b"old")

    def test_while_a_file_is_replaced_the_old_or_the_new_is_there(self) -> None:
        self.need("writable", "rename", "atomic_rename")
        self.put("/a/file", b"")

        async def replaced(driver: StorageDriver, over: asyncio.Event) -> None:
            try:
                for size in range(1, 9):
                    self.put("/a/next", bytes(size))
                    await driver.rename("/a/next", "/a/file", replace=True)
            finally:
                over.set()

        async def watched(driver: StorageDriver, over: asyncio.Event) -> list[int]:
            sizes = []
            while not over.is_set():
                sizes.append((await driver.stat("/a/file")).size)
                await asyncio.sleep(0)
            return sizes

        async def scenario(driver: StorageDriver) -> list[list[int]]:
            over = asyncio.Event()
            replacing = asyncio.ensure_future(replaced(driver, over))
            seen = await asyncio.gather(*(watched(driver, over) for _ in range(3)))
            await replacing
            return list(seen)

        for sizes in self.run(scenario):
            assert sizes == sorted(sizes)

    def test_renaming_to_itself_keeps_the_file(self) -> None:
        self.need("writable", "rename")
        self.put("/a/file", b"data")
        self.run(lambda driver: driver.rename("/a/file", "/a/file", replace=True))
        assert self.get("/a/file") == b"data"

    def test_renaming_nothing_is_not_there(self) -> None:
        self.need("writable", "rename")
        self.put("/a/new", b"new")
        for replace in (False, True):
            with pytest.raises(NotThere):
                self.run(lambda driver, replace=replace: driver.rename("/a/none", "/a/new", replace=replace))  # type: ignore[misc]
        assert self.get("/a/new") == b"new"

    def test_renaming_into_a_directory_that_is_not_there(self) -> None:
        self.need("writable", "rename", "directories")
        self.put("/a/file", b"data")
        with pytest.raises(NotThere):
            self.run(lambda driver: driver.rename("/a/file", "/none/file"))
        assert self.get("/a/file") == b"data"

    @pytest.mark.parametrize("replace", [False, True])
    def test_directories_are_not_renamed_and_not_replaced(self, replace: bool) -> None:
        self.need("writable", "rename")
        self.put("/a/file", b"in a")
        self.put("/b/file", b"in b")

        async def scenario(driver: StorageDriver) -> None:
            with pytest.raises(NotAFile):
                await driver.rename("/a", "/c", replace=replace)
            with pytest.raises(NotAFile if replace else AlreadyThere):
                await driver.rename("/a/file", "/b", replace=replace)

        self.run(scenario)
        assert (self.get("/a/file"), self.get("/b/file")) == (b"in a", b"in b")

    def test_renaming_is_unsupported_where_it_is_not_declared(self) -> None:
        self.put("/file", b"data")

        async def scenario(driver: StorageDriver) -> None:
            if driver.capabilities.rename:
                pytest.skip("the driver declares rename")
            with pytest.raises(Unsupported):
                await driver.rename("/file", "/new")

        self.run(scenario)
        assert self.get("/file") == b"data"

    def test_nothing_is_changed_where_writing_is_not_declared(self) -> None:
        self.put("/a/file", b"stays")

        async def scenario(driver: StorageDriver) -> None:
            if driver.capabilities.writable:
                pytest.skip("the driver declares writable")
            await refused(Unsupported, driver.write("/new", stream(b"x")))
            await refused(Unsupported, driver.rename("/a/file", "/a/new"))
            await refused(Unsupported, driver.delete("/a/file"))
            await refused(Unsupported, driver.make_directory("/b"))
            await refused(Unsupported, driver.remove_directory("/a"))

        self.run(scenario)
        assert self.get("/a/file") == b"stays"

    # Deleting and directories.

    def test_deleting_removes_one_file(self) -> None:
        self.need("writable")
        self.put("/a/file", b"")
        self.put("/a/other", b"stays")
        self.run(lambda driver: driver.delete("/a/file"))
        assert (self.get("/a/file"), self.get("/a/other")) == (None, b"stays")

    def test_deleting_nothing_is_not_there(self) -> None:
        self.need("writable")
        with pytest.raises(NotThere):
            self.run(lambda driver: driver.delete("/none"))

    def test_deleting_a_directory_is_refused(self) -> None:
        self.need("writable")
        self.put("/a/file", b"stays")
        for path in ("/a", "/"):
            with pytest.raises(NotAFile):
                self.run(lambda driver, path=path: driver.delete(path))  # type: ignore[misc]
        assert self.get("/a/file") == b"stays"

    def test_a_file_that_is_the_one_expected_is_deleted(self) -> None:
        self.need("writable")

        async def scenario(driver: StorageDriver) -> None:
            for told in (driver.stat, self._listed_by(driver)):
                self.put("/a/file", b"data")
                await driver.delete("/a/file", expected=await told("/a/file"))
                assert self.get("/a/file") is None
            written = await driver.write("/a/file", stream(b"data"))
            await driver.delete("/a/file", expected=written)
            with pytest.raises(NotThere):
                await driver.delete("/a/file", expected=written)

        self.run(scenario)
        assert self.get("/a/file") is None

    @pytest.mark.parametrize("change", ["size", "mtime_ns", "version"])
    def test_a_file_that_is_not_the_one_expected_stays(self, change: str) -> None:
        self.need("writable")
        self.put("/a/file", b"data")

        async def scenario(driver: StorageDriver) -> None:
            stat = await driver.stat("/a/file")
            if change == "version" and not stat.version:
                pytest.skip("the driver knows no versions")
            others = {
                "size": stat._replace(size=stat.size + 1),
                "mtime_ns": stat._replace(mtime_ns=stat.mtime_ns - 10**10),
                "version": stat._replace(version=f"{stat.version}0"),
            }
            with pytest.raises(ChangedWhileRead) as caught:
                await driver.delete("/a/file", expected=others[change])
            assert caught.value.place == f"{driver.label}:/a/file"
            assert await driver.stat("/a/file") == stat

        self.run(scenario)
        assert self.get("/a/file") == b"data"

    def test_a_file_that_was_written_anew_is_not_the_one_expected(self) -> None:
        self.need("writable")
        self.put("/a/file", b"data")

        async def scenario(driver: StorageDriver) -> None:
            before = await driver.stat("/a/file")
            self.put("/a/file", b"other data")
            await refused(ChangedWhileRead, driver.delete("/a/file", expected=before))

        self.run(scenario)
        assert self.get("/a/file") == b"other data"

    def test_a_version_that_is_not_known_is_not_compared(self) -> None:
        self.need("writable")
        self.put("/a/file", b"data")

        async def scenario(driver: StorageDriver) -> None:
            stat = await driver.stat("/a/file")
            await driver.delete("/a/file", expected=stat._replace(version="", changed_ns=None))

        self.run(scenario)
        assert self.get("/a/file") is None

    @staticmethod
    def _listed_by(driver: StorageDriver) -> Callable[[str], Awaitable[Stat]]:
        """Like ``driver.stat``, asking the listing."""

        async def told(path: str) -> Stat:
            above, name = names.split(path)
            return next(entry.stat for entry in (await driver.list(above)).entries if entry.name == name)

        return told

    def test_making_a_directory_twice_is_no_error(self) -> None:
        self.need("writable", "directories")

        async def scenario(driver: StorageDriver) -> None:
            for path in ("/a/b/c", "/a/b/c", "/a", "/"):
                await driver.make_directory(path)
            assert shown(await driver.list("/a/b")) == ["c"]

        self.run(scenario)

    @pytest.mark.parametrize("path", ["/a/file", "/a/file/below"])
    def test_no_directory_takes_the_place_of_a_file(self, path: str) -> None:
        self.need("writable", "directories")
        self.put("/a/file", b"stays")
        with pytest.raises(NotADirectory):
            self.run(lambda driver: driver.make_directory(path))
        assert self.get("/a/file") == b"stays"

    def test_an_empty_directory_is_removed(self) -> None:
        self.need("writable", "directories", "removes_directories")

        async def scenario(driver: StorageDriver) -> None:
            await driver.make_directory("/a/b")
            await _removed(driver, "/a/b")
            assert shown(await driver.list("/a")) == []
            with pytest.raises(NotThere):
                await driver.remove_directory("/a/b")

        self.run(scenario)

    def test_only_an_empty_directory_is_removed(self) -> None:
        self.need("writable", "directories", "removes_directories")
        self.put("/a/file", b"stays")

        async def scenario(driver: StorageDriver) -> None:
            await driver.make_directory("/b")
            await _removed(driver, "/b")
            for path, error in (("/a", DirectoryNotEmpty), ("/a/file", NotADirectory), ("/", NotAllowed)):
                with pytest.raises(error):
                    await driver.remove_directory(path)

        self.run(scenario)
        assert self.get("/a/file") == b"stays"

    def test_directories_stay_where_removing_them_is_not_declared(self) -> None:
        self.need("writable", "directories")

        async def scenario(driver: StorageDriver) -> None:
            await driver.make_directory("/a/b")
            try:
                await driver.remove_directory("/a/b")
                pytest.skip("the driver removes directories")
            except Unsupported:
                assert not driver.capabilities.removes_directories
            await refused(Unsupported, driver.remove_directory("/a/b"))
            assert shown(await driver.list("/a")) == ["b"]

        self.run(scenario)

    # Permissions.

    def test_permissions_are_told_and_set(self) -> None:
        self.need("writable", "permissions")
        self.put("/a/file", b"")

        async def scenario(driver: StorageDriver) -> None:
            assert isinstance(driver, PermissionsDriver)
            for path in ("/a/file", "/a"):
                await driver.set_mode(path, 0o700)
                before = await driver.permissions(path)
                await driver.set_mode(path, 0o750)
                after = await driver.permissions(path)
                assert (before.mode, after.mode) == (0o700, 0o750)
                assert before.owner
                assert before.group
            with pytest.raises(NotThere):
                await driver.permissions("/none")
            for mode in (0o4755, 0o2755, -1):
                with pytest.raises(BadInput):
                    await driver.set_mode("/a/file", mode)

        self.run(scenario)


async def _removed(driver: StorageDriver, path: str) -> None:
    """Remove an empty directory; skips where the storage says only now that this would be a risk to full ones."""
    try:
        await driver.remove_directory(path)
    except Unsupported:
        assert not driver.capabilities.removes_directories
        pytest.skip("the driver has found that it cannot remove directories without a risk")

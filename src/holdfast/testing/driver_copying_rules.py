"""What holds where a storage copies from and to others: ``capabilities.third_party_copy``.

Part of ``holdfast.testing.driver_suite``, whose docstring says how to use it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from holdfast.model.errors import BrokenInvariant, InvalidName, PeerError
from holdfast.storage.abilities import ThirdPartyCopyDriver, copying
from holdfast.storage.digest import digests_of
from holdfast.storage.driver import NOT_TOLD, AlreadyThere, Kind, NotAFile, NotThere, StorageDriver
from holdfast.storage.parts import part_path
from holdfast.testing.driver_hooks import DriverHooks, everything, pattern, refused, shown

_T = TypeVar("_T")
DATA = pattern(300_000)


class CopyingRules(DriverHooks):
    """Two storages of one kind: ``driver`` and ``far``."""

    @pytest.mark.parametrize("size", [0, 1, 3_000_000])
    @pytest.mark.parametrize("is_told", [True, False], ids=["size told", "size asked"])
    def test_a_file_is_pulled(self, size: int, is_told: bool) -> None:
        async def scenario(driver: StorageDriver, near: ThirdPartyCopyDriver, far: ThirdPartyCopyDriver) -> None:
            self.put_far("/from/file", pattern(size))
            heard: list[int] = []
            source = await far.far_file("/from/file")
            digest = await near.pull("/a/b/file", source, size=size if is_told else None, progress=heard.append)
            assert (digest.stat.kind, digest.stat.size) == (Kind.FILE, size)
            assert digest.stat.mtime_ns in ((await driver.stat("/a/b/file")).mtime_ns, NOT_TOLD)
            assert not digest.checksums
            assert heard == sorted(heard)
            assert shown(await driver.list("/a/b")) == ["file"]

        self.run_both(scenario)
        assert self.get("/a/b/file") == pattern(size)

    def test_what_is_pulled_as_a_part_can_be_renamed(self) -> None:
        """Twice: a driver may learn from the first how its server takes it."""

        async def scenario(driver: StorageDriver, near: ThirdPartyCopyDriver, far: ThirdPartyCopyDriver) -> None:
            for name in ("one", "two", "three"):
                self.put_far("/file", DATA)
                part = part_path(f"/{name}/file", f"token{name}")
                wanted = sorted(driver.capabilities.told)
                digest = await near.pull(part, await far.far_file("/file"), size=len(DATA), wanted=wanted)
                assert digest.checksums.items() <= digests_of(DATA, wanted).items()
                await driver.rename(part, f"/{name}/file")
                assert shown(await driver.list(f"/{name}")) == ["file"]

        self.run_both(scenario)
        assert [self.get(f"/{name}/file") for name in ("one", "two", "three")] == [DATA] * 3

    def test_a_pull_replaces_nothing(self) -> None:
        part = part_path("/a/x", "token")

        async def scenario(driver: StorageDriver, near: ThirdPartyCopyDriver, far: ThirdPartyCopyDriver) -> None:
            self.put_far("/file", DATA)
            source = await far.far_file("/file")
            await near.pull(part_path("/a/x", "other"), source, size=len(DATA))
            for path in ("/a/taken", part):
                self.put(path, b"stays")
                await refused(AlreadyThere, near.pull(path, source, size=len(DATA)))

        self.run_both(scenario)
        assert self.get("/a/taken") == self.get(part) == b"stays"

    def test_a_pull_that_fails_leaves_nothing(self) -> None:
        async def scenario(driver: StorageDriver, near: ThirdPartyCopyDriver, far: ThirdPartyCopyDriver) -> None:
            self.put_far("/directory/file", DATA)
            self.put("/a/other", b"x")
            for path in ("/a/new", part_path("/a/new", "token")):
                with pytest.raises(NotThere) as caught:
                    await near.pull(path, await far.far_file("/none"))
                assert caught.value.place == f"{driver.label}:{path}"
                await refused(NotAFile, near.pull(path, await far.far_file("/directory")))
                await refused(PeerError, near.pull(path, await far.far_file("/directory/file"), size=len(DATA) - 1))
            assert shown(await driver.list("/a")) == ["other"]

        self.run_both(scenario)

    def test_a_file_is_pushed(self) -> None:
        self.put("/file", DATA)

        async def scenario(driver: StorageDriver, near: ThirdPartyCopyDriver, far: ThirdPartyCopyDriver) -> None:
            assert isinstance(far, StorageDriver)
            self._need_sending()
            await near.push("/file", await far.far_file("/new/file"))
            assert await everything(far.read("/new/file")) == DATA
            await refused(AlreadyThere, near.push("/file", await far.far_file("/new/file")))
            await refused(NotThere, near.push("/none", await far.far_file("/new/other")))

        self.run_both(scenario)
        assert self.get("/file") == DATA

    def test_a_file_is_told_of(self) -> None:
        self.put("/file", DATA)
        self.put("/directory/file", DATA)

        async def scenario(driver: StorageDriver, near: ThirdPartyCopyDriver, far: ThirdPartyCopyDriver) -> None:
            algorithms = sorted(driver.capabilities.told)
            found = await near.told("/file", algorithms, size=len(DATA))
            whole = await driver.stat("/file")
            assert (found.stat.kind, found.stat.size) == (Kind.FILE, len(DATA))
            assert found.stat.mtime_ns in (whole.mtime_ns, NOT_TOLD)
            assert found.told == set(found.checksums)
            if self.tells_nothing:
                assert not found.checksums
            else:
                assert len(found.checksums) == 1
            assert found.checksums.items() <= digests_of(DATA, algorithms).items()
            assert not (await near.told("/file", [])).checksums
            await refused(NotThere, near.told("/none", algorithms))
            await refused(NotAFile, near.told("/directory", algorithms))

        self.run_both(scenario)

    def test_bad_paths_and_closed_drivers_copy_nothing(self) -> None:
        async def scenario(driver: StorageDriver, near: ThirdPartyCopyDriver, far: ThirdPartyCopyDriver) -> None:
            source = await far.far_file("/file")
            calls: list[Callable[[str], Awaitable[object]]] = [
                lambda path: near.pull(path, source),
                lambda path: near.push(path, source),
                lambda path: near.told(path, ["adler32"]),
                near.far_file,
            ]
            for call in calls:
                await refused(InvalidName, call("/a/../b"))
            await driver.close()
            for call in calls:
                await refused(BrokenInvariant, call("/a"))

        self.run_both(scenario)

    def test_where_a_file_is_for_others_is_shown_to_nobody(self) -> None:
        async def scenario(driver: StorageDriver, near: ThirdPartyCopyDriver, far: ThirdPartyCopyDriver) -> None:
            assert near.copies_over == far.copies_over != ""
            source = await far.far_file("/secret/file")
            assert "secret" not in repr(source)
            with pytest.raises(NotThere) as caught:
                await near.pull("/a/file", source)
            assert "secret" not in str(caught.value)

        self.run_both(scenario)

    def run_both(
        self, scenario: Callable[[StorageDriver, ThirdPartyCopyDriver, ThirdPartyCopyDriver], Awaitable[_T]]
    ) -> None:
        """Run a scenario between two storages."""
        self.need("third_party_copy")

        async def whole(driver: StorageDriver) -> None:
            other = self.make_far_driver()
            try:
                near, far = copying(driver), copying(other)
                assert near is not None
                assert far is not None
                await scenario(driver, near, far)
            finally:
                await other.close()

        self.run(whole)

    def _need_sending(self) -> None:
        if not self.sends:
            pytest.skip("the far storage takes nothing from this one")

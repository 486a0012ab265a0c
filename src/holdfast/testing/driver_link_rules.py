"""No symbolic link is ever followed, by no call, at no place in a path, unless ``follows_links`` is declared.

Part of ``holdfast.testing.driver_suite``, whose docstring says how to use it.
"""

from __future__ import annotations

import pytest

from holdfast.storage.driver import AlreadyThere, Kind, NotADirectory, NotAFile, StorageDriver
from holdfast.testing.driver_hooks import DriverHooks, everything, refused, shown, stream

LINKS = ("to file", "to directory", "up", "inside file", "inside directory", "dangling", "loop")
"""The links that ``make_links`` makes below ``/links``."""


def _below_links() -> list[str]:
    return [f"/links/{name}/{below}" for name in LINKS for below in ("secret", "file", "deep/new")]


class LinkRules(DriverHooks):
    """What is never done with links."""

    def test_links_are_listed_as_something_else(self) -> None:
        self.need_links()
        self.make_links()
        listing = self.run(lambda driver: driver.list("/links"))
        assert {entry.name: entry.stat.kind for entry in listing.entries} == dict.fromkeys(LINKS, Kind.OTHER)

    def test_links_are_seen_by_stat_and_not_followed(self) -> None:
        self.need_links()
        self.make_links()

        async def scenario(driver: StorageDriver) -> None:
            for name in LINKS:
                assert (await driver.stat(f"/links/{name}")).kind is Kind.OTHER, name

        self.run(scenario)

    def test_nothing_is_read_from_a_link(self) -> None:
        self.need_links()
        self.make_links()

        async def scenario(driver: StorageDriver) -> None:
            for name in LINKS:
                path = f"/links/{name}"
                await refused(NotAFile, everything(driver.read(path)))
                await refused(NotADirectory, driver.list(path))
                if driver.capabilities.checksums:
                    await refused(NotAFile, driver.checksum(path, sorted(driver.capabilities.checksums)[:1]))

        self.run(scenario)

    def test_nothing_is_done_to_a_link(self) -> None:
        self.need("writable")
        self.need_links()
        self.make_links()
        before = self.outside_state()

        async def scenario(driver: StorageDriver) -> None:
            for name in LINKS:
                path = f"/links/{name}"
                await refused(NotAFile, driver.delete(path))
                await refused(NotADirectory, driver.remove_directory(path))
                await refused(NotADirectory, driver.make_directory(path))
                await refused(AlreadyThere, driver.write(path, stream(b"x")))
                if driver.capabilities.rename:
                    await refused(NotAFile, driver.rename(path, "/moved"))
                    await refused(AlreadyThere, driver.rename("/inside/file", path))
                    await refused(NotAFile, driver.rename("/inside/file", path, replace=True))
            assert set(shown(await driver.list("/links"))) == set(LINKS)

        self.run(scenario)
        assert self.outside_state() == before
        assert self.get("/inside/file") == b"inside"

    def test_nothing_is_read_through_a_link(self) -> None:
        self.need_links()
        self.make_links()

        async def scenario(driver: StorageDriver) -> None:
            for path in _below_links():
                await refused(NotADirectory, driver.stat(path))
                await refused(NotADirectory, driver.list(path))
                await refused(NotADirectory, everything(driver.read(path)))

        self.run(scenario)

    def test_nothing_is_done_through_a_link(self) -> None:
        self.need("writable")
        self.need_links()
        self.make_links()
        before = self.outside_state()

        async def scenario(driver: StorageDriver) -> None:
            for path in _below_links():
                await refused(NotADirectory, driver.delete(path))
                await refused(NotADirectory, driver.write(path, stream(b"x")))
                await refused(NotADirectory, driver.make_directory(path))
                await refused(NotADirectory, driver.remove_directory(path))
                if driver.capabilities.rename:
                    await refused(NotADirectory, driver.rename(path, "/moved"))
                    await refused(NotADirectory, driver.rename("/inside/file", path, replace=True))

        self.run(scenario)
        assert self.outside_state() == before
        assert self.get("/inside/file") == b"inside"

    def test_what_lies_behind_a_link_is_shown_where_that_is_declared(self) -> None:
        """So that nobody who could do better declares it."""
        self.need("follows_links", "readable")
        if not self.supports_links:
            pytest.skip("no symbolic links can be made on this storage")
        self.put("/inside/file", b"inside")
        self.make_link("/links/inside", "../inside")

        async def scenario(driver: StorageDriver) -> None:
            assert shown(await driver.list("/links/inside")) == ["file"]
            assert (await driver.stat("/links/inside/file")).kind is Kind.FILE
            assert await everything(driver.read("/links/inside/file")) == b"inside"

        self.run(scenario)

    def make_links(self) -> None:
        """Links of every kind in ``/links``."""
        self.put("/inside/file", b"inside")
        outside = self.outside()
        targets = {
            "to file": f"{outside}/secret",
            "to directory": outside,
            "up": "../..",
            "inside file": "../inside/file",
            "inside directory": "../inside",
            "dangling": f"{outside}/none",
            "loop": "loop",
        }
        assert set(targets) == set(LINKS)
        for name, target in targets.items():
            self.make_link(f"/links/{name}", target)

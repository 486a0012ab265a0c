"""What holds where files are read and written by blocking calls: ``capabilities.blocking``.

Part of ``holdfast.testing.driver_suite``, whose docstring says how to use it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from holdfast.model.errors import HoldfastError, InvalidName
from holdfast.storage.abilities import BlockingDriver, blocking
from holdfast.storage.driver import AlreadyThere, ChangedWhileRead, NotAFile, NotThere, StorageDriver
from holdfast.testing.driver_hooks import DriverHooks, pattern, refused, shown

DATA = pattern(300_000)


class BlockingRules(DriverHooks):
    """The same as of ``read`` and ``write``."""

    @pytest.mark.parametrize("size", [0, 1, 300_000])
    def test_a_file_is_read_by_blocking_calls(self, size: int) -> None:
        self.put("/a/file", pattern(size))

        async def scenario(driver: StorageDriver, able: BlockingDriver) -> None:
            reader = able.open_reader("/a/file")
            buffer, read = memoryview(bytearray(100_000)), b""
            while count := reader.next_into(buffer):
                read += buffer[:count]
            assert read == pattern(size)
            assert reader.verify() == await driver.stat("/a/file")
            reader.close()
            reader.close()

        self.run_blocking(scenario)

    def test_a_file_that_changes_while_it_is_read_is_told_as_such(self) -> None:
        self.put("/file", DATA)

        async def scenario(driver: StorageDriver, able: BlockingDriver) -> None:
            reader = able.open_reader("/file")
            try:
                buffer = memoryview(bytearray(100_000))
                assert reader.next_into(buffer) == 100_000
                self.put("/file", DATA + b"more")
                while reader.next_into(buffer):
                    pass
                with pytest.raises(ChangedWhileRead) as caught:
                    reader.verify()
                assert caught.value.place == f"{driver.label}:/file"
            finally:
                reader.close()

        self.run_blocking(scenario)

    @pytest.mark.parametrize("size", [0, 1, 300_000])
    def test_a_file_is_written_by_blocking_calls(self, size: int) -> None:
        async def scenario(driver: StorageDriver, able: BlockingDriver) -> None:
            writer = able.open_writer("/a/b/file")
            for start in range(0, size, 100_000):
                writer.append(memoryview(pattern(size))[start : start + 100_000])
            assert "file" not in shown(await driver.list("/a/b"))
            assert writer.finish() == await driver.stat("/a/b/file")
            writer.discard()
            assert shown(await driver.list("/a/b")) == ["file"]

        self.run_blocking(scenario)
        assert self.get("/a/b/file") == pattern(size)

    def test_what_is_discarded_leaves_nothing(self) -> None:
        self.put("/a/other", b"x")

        async def scenario(driver: StorageDriver, able: BlockingDriver) -> None:
            writer = able.open_writer("/a/file")
            writer.append(memoryview(DATA))
            writer.discard()
            writer.discard()
            assert shown(await driver.list("/a")) == ["other"]

        self.run_blocking(scenario)

    def test_blocking_calls_replace_nothing_and_fail_as_the_others_do(self) -> None:
        self.put("/a/file", b"stays")

        async def scenario(driver: StorageDriver, able: BlockingDriver) -> None:
            cases: list[tuple[type[HoldfastError], Callable[[str], object], str]] = [
                (AlreadyThere, able.open_writer, "/a/file"),
                (AlreadyThere, able.open_writer, "/a"),
                (NotThere, able.open_reader, "/a/none"),
                (NotAFile, able.open_reader, "/a"),
                (InvalidName, able.open_reader, "/a/../b"),
                (InvalidName, able.open_writer, "/a/../b"),
            ]
            for error, call, path in cases:
                await refused(error, _called(call, path))
            late = able.open_writer("/a/late")
            self.put("/a/late", b"stays")
            with pytest.raises(AlreadyThere):
                late.finish()
            late.discard()

        self.run_blocking(scenario)
        assert self.get("/a/file") == self.get("/a/late") == b"stays"

    def run_blocking(self, scenario: Callable[[StorageDriver, BlockingDriver], Awaitable[None]]) -> None:
        """Run a scenario with a driver that has blocking calls."""
        self.need("blocking")

        async def whole(driver: StorageDriver) -> None:
            able = blocking(driver)
            assert able is not None
            await scenario(driver, able)

        self.run(whole)


async def _called(call: Callable[[str], object], path: str) -> object:
    return call(path)

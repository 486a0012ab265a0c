"""DriverSuite: the rules of the StorageDriver contract, one test each.

Every driver has a test class that inherits from DriverSuite and gives it the
hooks below. The hooks put and get raw data behind the driver, so that reading
is tested without writing and writing without reading. Each test gets a fresh,
empty storage.

    class TestMyDriver(DriverSuite):
        supports_links = False
        def make_driver(self): ...
        def put(self, path, data): ...
        def get(self, path): ...

Nobody overrides a test. What a protocol cannot do it declares in its
``capabilities`` (or ``supports_links``, where the test cannot make any), and
the test is skipped with that reason.
"""

from __future__ import annotations

import asyncio

import pytest

from holdfast.model.checksums import DIGITS
from holdfast.model.errors import BrokenInvariant, HoldfastError, PeerError
from holdfast.storage.abilities import PermissionsDriver
from holdfast.storage.driver import (
    AlreadyThere,
    ChangedWhileRead,
    NotADirectory,
    NotAFile,
    NotAllowed,
    NotThere,
    StorageDriver,
    Unsupported,
)
from holdfast.testing.driver_hooks import everything, pattern, shown, stream

# Before they are imported: asserts in them then tell what was compared, like those in test files.
pytest.register_assert_rewrite(
    "holdfast.testing.driver_ability_rules",
    "holdfast.testing.driver_blocking_rules",
    "holdfast.testing.driver_copying_rules",
    "holdfast.testing.driver_link_rules",
    "holdfast.testing.driver_reading_rules",
    "holdfast.testing.driver_writing_rules",
)

from holdfast.testing.driver_ability_rules import AbilityRules  # noqa: E402
from holdfast.testing.driver_blocking_rules import BlockingRules  # noqa: E402
from holdfast.testing.driver_copying_rules import CopyingRules  # noqa: E402
from holdfast.testing.driver_link_rules import LinkRules  # noqa: E402
from holdfast.testing.driver_reading_rules import DriverReadingRules  # noqa: E402
from holdfast.testing.driver_writing_rules import WritingRules  # noqa: E402


class DriverSuite(DriverReadingRules, WritingRules, AbilityRules, BlockingRules, CopyingRules, LinkRules):
    """All rules. See the module's docstring for what a subclass has to give."""

    # Working together, errors, the end.

    def test_many_calls_at_once(self) -> None:
        self.need("writable")

        async def one(driver: StorageDriver, number: int) -> None:
            path = f"/a/{number % 3}/file{number}"
            data = pattern(1000 * number)
            await driver.write(path, stream(data))
            assert await everything(driver.read(path)) == data
            assert path.rpartition("/")[2] in shown(await driver.list(f"/a/{number % 3}"))

        async def scenario(driver: StorageDriver) -> None:
            await asyncio.gather(*(one(driver, number) for number in range(40)))
            listings = await asyncio.gather(*(driver.list("/a") for _ in range(20)))
            assert all(shown(listing) == ["0", "1", "2"] for listing in listings)

        self.run(scenario)

    def test_an_error_says_where(self) -> None:
        async def scenario(driver: StorageDriver) -> None:
            with pytest.raises(NotThere) as caught:
                await driver.stat("/no/such")
            assert caught.value.place == f"{driver.label}:/no/such"
            assert caught.value.message
            assert "\n" not in str(caught.value)
            assert not caught.value.retryable

        self.run(scenario)

    def test_only_trouble_of_the_far_side_is_worth_trying_again(self) -> None:
        families: list[type[HoldfastError]] = [NotThere, AlreadyThere, NotADirectory, NotAFile, NotAllowed, Unsupported]
        assert not any(family.retryable for family in families)
        assert PeerError.retryable
        assert ChangedWhileRead.retryable

    def test_closing_twice_does_no_harm(self) -> None:
        async def scenario(driver: StorageDriver) -> None:
            await driver.list("/")
            await driver.close()
            await driver.close()
            with pytest.raises(BrokenInvariant):
                await driver.list("/")

        self.run(scenario)

    def test_it_is_a_storage_driver(self) -> None:
        async def scenario(driver: StorageDriver) -> None:
            assert isinstance(driver, StorageDriver)
            assert isinstance(driver, PermissionsDriver) or not driver.capabilities.permissions
            assert driver.capabilities.checksums <= set(DIGITS)
            assert driver.capabilities.mtime_resolution_ns >= 1
            assert driver.label

        self.run(scenario)

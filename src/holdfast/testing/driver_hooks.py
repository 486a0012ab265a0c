"""What DriverSuite needs to know of a storage, and what its tests share.

The hooks put and get raw data behind the driver; beside them stand the names
and paths that somebody's protocol has broken, published digests, and small
helpers. No rule is stated here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import ClassVar, TypeVar

import pytest

from holdfast.model.errors import HoldfastError
from holdfast.storage.driver import Capabilities, DirectoryListing, StorageDriver

_T = TypeVar("_T")

LISTS_OF_PLACES = ("x.meta4", "x.metalink")
"""Names of files that some clients do not read: they read what is named in them, wherever it is (RFC 5854)."""
LIST_OF_PLACES = (
    '<?xml version="1.0" encoding="utf-8"?><metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="other">'
    '<size>{size}</size><url location="x" priority="1">{url}</url></file></metalink>'
)
"""What is in such a file."""

ODD_NAMES = (
    "plain",
    "with blank",
    " leading and trailing ",
    'quo"te',
    "apo'strophe",
    "per%41cent",
    "hash#question?",
    "plus+and&equals=",
    "back\\slash",
    "semi;colon:comma,",
    "star*[bracket]{brace}",
    "-rf",
    "~tilde",
    "$HOME`id`",
    ".hidden",
    "...",
    "grüße",
    "\u00e9",  # e with acute, one character
    "e\u0301",  # the same to the eye, two characters
    "文件",
    "\U0001f4be",
    "\u00a0",  # no-break space
    *LISTS_OF_PLACES,
    "x" * 255,
    "ü" * 127,
)
"""Names that are allowed and that somebody's protocol, shell or URL has broken before."""

BAD_PATHS = (
    "",
    "relative",
    "a/b",
    "//",
    "/a//b",
    "/a/",
    "/.",
    "/..",
    "/a/../b",
    "/a/./b",
    "/../secret",
    "/a\nb",
    "/a\0b",
    "/a\x7f",
    "/\udcff",
    "/" + "x" * 256,
    "/x" * 600,
)

VECTORS: dict[str, dict[bytes, str]] = {
    "adler32": {b"": "00000001", b"abc": "024d0127", b"Wikipedia": "11e60398"},
    "crc32c": {b"": "00000000", b"abc": "364b3fb7", b"123456789": "e3069283"},
    "md5": {b"": "d41d8cd98f00b204e9800998ecf8427e", b"abc": "900150983cd24fb0d6963f7d28e17f72"},
    "sha256": {
        b"": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        b"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    },
    "blake3": {
        b"": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        b"abc": "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
    },
}
"""Digests published with the algorithms."""


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    """The chunks, one after the other."""
    for chunk in chunks:
        yield chunk


async def broken_stream(*chunks: bytes, error: Exception) -> AsyncIterator[bytes]:
    """The chunks, and then an error."""
    for chunk in chunks:
        yield chunk
    raise error


async def everything(chunks: AsyncIterator[bytes]) -> bytes:
    """All bytes of a stream."""
    return b"".join([chunk async for chunk in chunks])


def pattern(size: int) -> bytes:
    """Bytes in which every block differs from its neighbours."""
    return b"".join(number.to_bytes(8, "big") for number in range(size // 8 + 1))[:size]


class SourceFailedError(Exception):
    """What a stream raises that is none of our errors."""


class DriverHooks:
    """What a test class tells the suite of its storage."""

    sends: ClassVar[bool] = True
    """Whether the far storage takes what this one sends it."""

    supports_links: ClassVar[bool]
    """Whether symbolic links, or what is like them, can be made on this storage."""

    tells_nothing: ClassVar[str] = ""
    """Why this very storage tells no checksum of what the driver writes, though its protocol could; "" if it does."""

    def make_driver(self) -> StorageDriver:
        """A driver of this test's storage; several may be asked for. Called inside a running event loop."""
        raise NotImplementedError

    def put(self, path: str, data: bytes) -> None:
        """Make or overwrite a file in place, its directories included, without the driver."""
        raise NotImplementedError

    def get(self, path: str) -> bytes | None:
        """The bytes of a file without the driver; None if there is no such file."""
        raise NotImplementedError

    def make_far_driver(self) -> StorageDriver:
        """A driver of another storage, empty too, that this one copies from; only with ``third_party_copy``."""
        pytest.skip("there is no other storage to copy from")

    def put_far(self, path: str, data: bytes) -> None:
        """Make a file at the other storage, without its driver; only with ``third_party_copy``."""
        raise NotImplementedError

    def make_link(self, path: str, target: str) -> None:
        """Make a symbolic link with that very target text; only if ``supports_links``."""
        raise NotImplementedError

    def outside(self) -> str:
        """The text of a path outside the root to a directory with one file, ``secret``; only with links."""
        raise NotImplementedError

    def outside_state(self) -> object:
        """Whatever shows that something outside was changed; only with links."""
        raise NotImplementedError

    def run(self, scenario: Callable[[StorageDriver], Awaitable[_T]]) -> _T:
        """Run a scenario against a driver and close it."""

        async def whole() -> _T:
            driver = self.make_driver()
            try:
                return await scenario(driver)
            finally:
                await driver.close()

        return asyncio.run(whole())

    def need(self, *abilities: str) -> None:
        """Skip the test unless the driver declares all ``abilities``."""
        declared = self._declared()
        lacking = [ability for ability in abilities if not getattr(declared, ability)]
        if lacking:
            pytest.skip(f"the driver does not declare {', '.join(lacking)}")

    def _declared(self) -> Capabilities:
        async def ask(driver: StorageDriver) -> Capabilities:
            return driver.capabilities

        return self.run(ask)

    def need_links(self) -> None:
        """Skip the test unless links can be made, and are not followed by a server that nobody asks."""
        if not self.supports_links:
            pytest.skip("no symbolic links can be made on this storage")
        if self._declared().follows_links:
            pytest.skip("the driver declares follows_links")


def shown(listing: DirectoryListing) -> list[str]:
    """The names in a listing, in its order."""
    return [entry.name for entry in listing.entries]


async def refused(error: type[HoldfastError], call: Awaitable[object]) -> None:
    """The call has to end in that error."""
    with pytest.raises(error):
        await call

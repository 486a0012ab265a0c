"""GfalCalls: what is asked of gfal2, whichever way it is reached.

``process`` asks the library through its bindings, ``programs`` runs
``gfal-ls`` and its companions.

Rules
  * URLs are complete, in the form that gfal2 wants for their protocol.
  * Names come as bytes, "." and ".." among them where gfal2 gives them.
  * gfal2's own errors are GfalRefusal with its number; everything else is of
    the StorageDriver contract.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from typing import NamedTuple, Protocol

from holdfast.model.errors import PeerError


class GfalRefusal(PeerError):
    """gfal2 says no: ``number`` is an errno, the text its words. Never leaves ``hands``."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number


class Seen(NamedTuple):
    """What gfal2 says of a name: mode bits (0: none), size, time in seconds."""

    mode: int
    size: int
    mtime_s: int


class GfalCalls(Protocol):
    """One way to ask gfal2."""

    can_remove_directories: bool

    async def list(self, url: str) -> Sequence[tuple[bytes, Seen]]:
        """What is in a directory."""

    async def names(self, url: str) -> Sequence[bytes]:
        """The same without asking what it is."""

    async def stat(self, url: str) -> Seen:
        """What is there; a symbolic link itself, where gfal2 can tell."""

    async def checksum(self, url: str, algorithm: str) -> str:
        """What the storage says it is, in gfal2's spelling."""

    def read(self, url: str) -> AsyncGenerator[bytes, None]:
        """The bytes of a file, in chunks of at most CHUNK_BYTES."""

    async def write(self, url: str, chunks: AsyncIterable[bytes]) -> None:
        """Make a file."""

    async def rename(self, url: str, target: str) -> None:
        """Give it another name."""

    async def unlink(self, url: str) -> None:
        """Remove a file."""

    async def mkdir(self, url: str) -> None:
        """Make a directory and its parents."""

    async def rmdir(self, url: str) -> None:
        """Remove an empty directory."""

    async def close(self) -> None:
        """End whatever runs."""

"""How a WebDAV server reads the name that something is moved to.

The standard wants it encoded. XRootD 5.5 takes it as it stands, and what was
to be called "a b" is then called "a%20b". gfal2 hands on what it is given.

Rules
  * A name in which nothing is to be encoded is given to everybody alike.
  * Before the first other name, a file of our own, a part by its name, is moved
    in the root of the door, and where it then is tells the way.
  * Who does not decode also drops what is not ASCII, or blank, at the end; so a
    question mark stands behind it, which is cut off.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import quote, unquote

from holdfast.model.errors import PeerError
from holdfast.storage.gfal.calls import GfalCalls, GfalRefusal
from holdfast.storage.gfal.root import GfalRoot
from holdfast.storage.parts import part_path


class MoveTargets:
    """The URLs that files of one door are moved to."""

    def __init__(self, root: GfalRoot, calls: GfalCalls) -> None:
        self._root = root
        self._calls = calls
        self._decodes: bool | None = None
        self._learning = asyncio.Lock()

    async def url(self, path: str) -> str:
        """What makes gfal2 move something to ``path``."""
        if not self._root.is_web or quote(path) == path:
            return self._root.url(path)
        async with self._learning:
            if self._decodes is None:
                self._decodes = await self._learn()
        return self._root.url(path) if self._decodes else f"{unquote(self._root.base)}{path}?"

    async def _learn(self) -> bool:
        source = part_path("/any")
        decoded, literal = f"{source}a", f"{source}%61"
        await self._calls.write(self._root.url(source), _little())
        try:
            await self._calls.rename(self._root.url(source), f"{self._root.url(source)}%61")
            for path, decodes in ((decoded, True), (literal, False)):
                with suppress(GfalRefusal):
                    await self._calls.stat(self._root.url(path))
                    return decodes
        finally:
            for path in (source, decoded, literal):
                with suppress(PeerError):
                    await self._calls.unlink(self._root.url(path))
        raise PeerError("the storage has moved a file to where it cannot be found")


async def _little() -> AsyncIterator[bytes]:
    yield b"."

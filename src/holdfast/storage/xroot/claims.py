"""NameClaim: the right to give one name its file, of which there is one at a time.

No call of XRootD gives a name only if nobody has it. The rename replaces; the
making of a directory finds nothing wrong with one that is there; the exclusive
open (5.5) looks first and then opens, with truncation and without exclusion, so
that of two at one time both succeed. What the file system below decides in one
step is the rename of a directory: onto one that is not empty it fails.

Rules
  * Whoever wants a name makes a directory of a name of his own, in it one more
    of that name, and renames it to the claim's name, which follows from the
    name that is wanted. Both have parts' names (``parts``). The inner one names
    the part, too, that is to get the wanted name, if it is one beside it.
  * The claim ends when the inner directory is removed: nobody can remove that
    of somebody else by accident, and an empty claim is renamed over.
  * A claim that is older than STALE_S and four times ``patience_s``, by the
    storage's own clock, belongs to somebody who died; the next one ends it. A
    writer that was stopped for longer than that and goes on is not held back.
  * A claim for a part that is not there any more is over, whatever its age: the
    part has got its name, or others have removed it because its writer died.
  * Somebody who has to wait for longer than ``patience_s`` gives up.
  * Programs that are not ours know nothing of claims.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from contextlib import suppress

from XRootD.client.flags import DirListFlags, MkDirFlags

from holdfast.model import names
from holdfast.model.errors import HoldfastError, PeerError
from holdfast.storage import parts
from holdfast.storage.driver import AlreadyThere, NotADirectory, NotAFile, NotThere
from holdfast.storage.xroot.door import XrootDoor
from holdfast.storage.xroot.errors import Unclear
from holdfast.storage.xroot.listing import read_entries, stat_of

STALE_S = 900
FIRST_WAIT_S = 0.02
LONGEST_WAIT_S = 1.0

_WITH_PARENTS = int(MkDirFlags.MAKEPATH)
_WITH_STAT = int(DirListFlags.STAT)
_MODE = 0o755
_DIVIDER = "."
_NS = 1_000_000_000


class NameClaim:
    """One wish for the name ``path``, for the file ``source``: ``take`` it, act, ``release`` it."""

    def __init__(self, door: XrootDoor, path: str, place: str, *, source: str = "", patience_s: float) -> None:
        self._door = door
        self._place = place
        self._patience_s = patience_s
        self._above = names.split(path)[0]
        random = secrets.token_hex(16)
        self._token = random if not source else holder_name(path, source, random)
        self._own = parts.part_path(path, random)
        self._claim = claim_path(path)

    async def take(self) -> None:
        """Wait until the claim is ours; PeerError if somebody else does not let go of it."""
        await self._door.change("mkdir", self._inner(self._own, self._token), self._place, _WITH_PARENTS, _MODE)
        try:
            await self._take()
        except BaseException:
            await self._remove(self._own)
            raise

    async def release(self) -> None:
        """Let go of the claim. What cannot be removed now is ended by whoever wants the name next."""
        await self._remove(self._claim)

    async def _take(self) -> None:
        loop, wait_s = asyncio.get_running_loop(), FIRST_WAIT_S
        deadline = loop.time() + self._patience_s
        while True:
            try:
                await self._door.move(self._own, self._claim, self._place)
                return
            except (AlreadyThere, NotADirectory, NotAFile, Unclear) as error:
                # A server that gave no clear answer may have done it.
                if await self._is_ours():
                    return
                is_held = await self._is_held()
                if loop.time() > deadline:
                    if not is_held:
                        raise
                    raise PeerError("another writer is giving this name its file", place=self._place) from error
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _is_ours(self) -> bool:
        with suppress(NotThere, NotADirectory, Unclear):
            await self._door.info(self._inner(self._claim, self._token), self._place)
            return True
        return False

    async def _is_held(self) -> bool:
        """Whether somebody has the claim; whoever has had it for too long has it no more."""
        try:
            raw, _ = await self._door.entries(self._claim, _WITH_STAT, self._place)
        except (NotThere, NotADirectory, NotAFile, Unclear):
            return False
        holders = read_entries(raw).entries
        # Both times are the storage's.
        made_ns = stat_of(await self._door.info(self._own, self._place)).mtime_ns
        for holder in holders:
            is_stale = made_ns - holder.stat.mtime_ns > (STALE_S + 4 * self._patience_s) * _NS
            if is_stale or await self._is_over(holder.name):
                # Others who wait may end it at the same time; so may its holder, if he lives.
                with suppress(NotThere):
                    await self._door.change("rmdir", self._inner(self._claim, holder.name), self._place)
        if not holders:
            # Some file systems rename onto no directory, not even an empty one.
            with suppress(HoldfastError):
                await self._door.change("rmdir", self._claim, self._place)
        return bool(holders)

    async def _is_over(self, holder: str) -> bool:
        """Whether the part that a claim is for is not there any more."""
        part = holder.rpartition(_DIVIDER)[0]
        if not parts.is_part_name(part):
            return False
        try:
            await self._door.info(names.join(self._above, part), self._place)
        except NotThere:
            return True
        return False

    async def _remove(self, outer: str) -> None:
        for path in (self._inner(outer, self._token), outer):
            with suppress(HoldfastError):
                await self._door.change("rmdir", path, self._place)

    @staticmethod
    def _inner(outer: str, token: str) -> str:
        return names.join(outer, names.file_name(token))


def holder_name(path: str, source: str, random: str) -> str:
    """The inner name of a claim of ``path`` for ``source``; one that names no part says nothing of when it is over."""
    above, part = names.split(source)
    is_beside = above == names.split(path)[0] and parts.is_part_name(part)
    return f"{part}{_DIVIDER}{random}" if is_beside else random


def claim_path(path: str) -> str:
    """Where the claim of the name ``path`` lies: beside it."""
    name = names.split(path)[1]
    return parts.part_path(path, hashlib.blake2b(name.encode(), digest_size=16).hexdigest())

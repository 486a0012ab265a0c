"""Case: one directory in doubt, why, and what was seen of it so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from holdfast import logs
from holdfast.storage.listing import doubt
from holdfast.storage.listing.answer import DirectoryAnswer, seen_in
from holdfast.storage.listing.door_pool import PooledDoor
from holdfast.storage.listing.doubt import Look
from holdfast.storage.listing.ledger import Spool, WaitingDirectory
from holdfast.storage.listing.pieces import Pieces, seen_whole
from holdfast.storage.listing.tables import Directory, DirectoryState

_log = logs.get("storage")


class Spooled(NamedTuple):
    """A directory that came in pieces, all of them in ``spool``; ``last`` has what is said of it as a whole."""

    spool: Spool
    last: Directory
    pieces: Pieces

    @property
    def names(self) -> int:
        """How many names were given."""
        return self.pieces.names

    @property
    def merged(self) -> int:
        """How many were given again."""
        return self.pieces.merged

    @property
    def contradictions(self) -> int:
        """How many were given again for something else."""
        return self.pieces.contradictions

    @property
    def doubt(self) -> str:
        """The driver's doubt."""
        return self.pieces.doubt


Found = DirectoryAnswer | Spooled


@dataclass(eq=False)
class Case:
    """A directory in doubt: why, and what was seen so far."""

    waiting: WaitingDirectory
    why: str
    expected: int | None
    door: PooledDoor
    """Where the last look was taken."""
    looks: list[Look] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    named: set[bytes] = field(default_factory=set)

    def hear(self, found: Found, door: PooledDoor) -> None:
        """Another answer with stats."""
        otherwise = bool(self.looks) and (door is not self.door or self.looks[-1].named_only)
        seen = found.pieces.seen if isinstance(found, Spooled) else seen_whole(seen_in(found.directory))
        self.looks.append(Look(seen, found.names, False, otherwise, bool(found.contradictions)))
        self.found.append(found)
        self.door = door

    def end(self, kept: Found | None) -> None:
        """Drop all that came in pieces but what is kept."""
        for found in self.found:
            if isinstance(found, Spooled) and found is not kept:
                found.spool.drop()


def doubted(case: Case, last_error: str = "") -> Directory | Spooled:
    """What is kept of a directory that is not believed; ``last_error`` is why nobody could look again."""
    why = shown(doubt.reason(case.why, case.looks, last_error))
    _log.info("directory doubted", place=f"{case.door.driver.label}:{case.waiting.dir}", reason=why)
    most = max(case.found, key=lambda found: found.names)
    if isinstance(most, Spooled):
        case.end(most)
        return most._replace(last=Directory(case.waiting.dir, DirectoryState.DOUBTED, why, case.waiting.mtime_ns))
    case.end(None)
    return doubt.union([found.directory for found in case.found if isinstance(found, DirectoryAnswer)], case.named, why)


def shown(text: str) -> str:
    """What the far side had to say may hold anything; the tables hold UTF-8."""
    return text.encode(errors="backslashreplace").decode()

"""Standing: what is at the destination before anything is done, and whether it may go.

Rules
  * Only a live door shows what is there: what a dump says is found by nobody.
  * A good file is found. It is read through a cryptographic checksum if the
    inventory has one, whatever cheaper answers the storage offers; where files
    are to go past us, only up to READ_FOUND_BYTES_MAX: beyond, what the
    storage tells counts, as it does for a copy.
  * What somebody may have called wrong, which is all that a request is for that
    may replace (``replaceable``), is never found by what the storage tells:
    that may be what the file once was. It is read, however large; that is
    rare, for mostly nothing lies there or too little. What cannot be read
    counts as wrong, and a new copy is made.
  * A different file stays, unless ``replaceable``, asked right before, lets it
    go. What is replaced is still the one that was looked at.
  * What is no regular file is never touched.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.operations import codes
from holdfast.operations.codes import Code
from holdfast.operations.engine import Transfer
from holdfast.operations.engines import proving
from holdfast.operations.engines.glances import Glances
from holdfast.operations.engines.proving import Depth, EngineFault
from holdfast.storage.driver import Kind, NotThere, Stat

READ_FOUND_BYTES_MAX = 64 << 20
"""A file up to this size that is found in place is read by engines that else let bytes go past us."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is at the destination before we begin; ``stat`` None: nothing."""

    stat: Stat | None = None
    difference: str = ""
    """Why it is not the file; "" if it is."""
    is_unread: bool = False
    """It may be the file all the same: it may have been called wrong, and cannot be read here to see."""

    @property
    def is_found(self) -> bool:
        """Whether the file is there already."""
        return self.stat is not None and not self.difference

    def require_room(self, transfer: Transfer) -> None:
        """Fault DESTINATION_OCCUPIED if there is a different file which must stay; asked right before it would go."""
        if self.stat is None:
            return
        reason = transfer.replaceable() if transfer.replaceable is not None else "it was not asked to be replaced"
        if reason:
            what = (
                f"what is in its place {self.difference}"
                if self.is_unread
                else f"a different file is in its place ({self.difference})"
            )
            raise EngineFault(Code.DESTINATION_OCCUPIED, f"{transfer.destination}: {what}, and stays: {reason}")

    async def require_unchanged(self, transfer: Transfer) -> None:
        """Fault if yet another file has come there since we looked; the next try looks at that one."""
        if self.stat is None:
            return
        try:
            found = await transfer.destination.driver.stat(transfer.destination.path)
        except NotThere:
            return
        if not found.is_still(self.stat):
            raise EngineFault(
                Code.DESTINATION_FAILED, f"{transfer.destination}: the file in its place has changed meanwhile"
            )


async def look(transfer: Transfer, *, depth: Depth | None = Depth.STRONG, glances: Glances | None = None) -> Standing:
    """What is there. ``depth``: how it is proved; None: not at all, so that it is not found. Fault if it must stay."""
    place = transfer.destination
    if not place.driver.capabilities.live:
        raise EngineFault(Code.UNSUPPORTED, f"{place}: cannot be looked at through this door")
    if glances is not None and await glances.shows_nothing(place):
        return Standing()
    try:
        stat = await place.driver.stat(place.path)
    except NotThere:
        if glances is not None:
            glances.missed(place)
        return Standing()
    except BrokenInvariant:
        raise
    except HoldfastError as error:
        raise EngineFault(codes.of_destination(error), proving.at(place, error)) from error
    if stat.kind is not Kind.FILE:
        what = "a directory" if stat.kind is Kind.DIRECTORY else "no file"
        raise EngineFault(Code.DESTINATION_OCCUPIED, f"{place}: is {what}, and stays")
    if stat.size != transfer.size:
        return Standing(stat, f"has {stat.size} bytes, not {transfer.size}")
    if depth is None:
        return Standing(stat, "may have been called wrong, and cannot be read here to see", is_unread=True)
    try:
        await proving.prove(transfer, depth=depth)
    except EngineFault as fault:
        if fault.code is not Code.DAMAGED:
            raise
        return Standing(stat, fault.message.removeprefix(f"{place}: "))
    return Standing(stat)


def depth_for(transfer: Transfer, *, reads: bool = True, past_us: bool = False) -> Depth | None:
    """How what lies there is proved, for ``look``. ``past_us``: large files are not read; not ``reads``: none is."""
    if transfer.replaceable is not None:
        return Depth.READ if reads and transfer.destination.driver.capabilities.readable else None
    if not reads:
        return Depth.TOLD
    return Depth.CHEAP if past_us and transfer.size > READ_FOUND_BYTES_MAX else Depth.STRONG

"""Code: why a try failed, as a word that programs decide by. Pure.

What may pass and what will not is decided by the code, never by a text. An
error of our family has one code; services that speak of errors in their own
way have tables that lead here (``engines/``).
"""

from __future__ import annotations

from enum import StrEnum

from holdfast.model.errors import HoldfastError, InvalidName
from holdfast.storage import driver as d


class Code(StrEnum):
    """Why a try failed. Of sources, unless the name says destination or storage."""

    SOURCE_MISSING = "source-missing"
    SOURCE_WRONG = "source-wrong"
    """The source has other bytes than the inventory knows, by its own checksum."""
    SOURCE_REFUSED = "source-refused"
    SOURCE_FAILED = "source-failed"
    DESTINATION_OCCUPIED = "destination-occupied"
    """A different file is in the place, and stays."""
    DESTINATION_FULL = "destination-full"
    DESTINATION_REFUSED = "destination-refused"
    DESTINATION_FAILED = "destination-failed"
    DESTINATION_EMPTY = "destination-empty"
    """The storage said that it had taken the file, and has nothing."""
    DAMAGED = "damaged"
    """Bytes arrived wrong, though the source has the right ones."""
    NO_CHECKSUM = "no-checksum"
    UNNAMEABLE = "unnameable"
    """The site's rules give no path, or the protocol cannot carry it."""
    UNSUPPORTED = "unsupported"
    ENGINE_FAILED = "engine-failed"
    STOPPED = "stopped"
    """Interrupted, cancelled, or its worker was lost."""
    STORAGE_REFUSED = "storage-refused"
    STORAGE_FAILED = "storage-failed"
    MUST_STAY = "must-stay"
    """Of deletions: the check stands in the way."""
    CHANGED = "changed"
    """Of deletions: not the file any more that was meant."""

    @property
    def is_permanent(self) -> bool:
        """Whether the same try will fail again."""
        return self in _PERMANENT

    @property
    def stops_site(self) -> bool:
        """Whether the destination takes nothing from us for now, whatever file it is."""
        return self in (Code.DESTINATION_FULL, Code.DESTINATION_REFUSED)


_PERMANENT = frozenset(
    {
        Code.SOURCE_MISSING,
        Code.SOURCE_WRONG,
        Code.DESTINATION_OCCUPIED,
        Code.NO_CHECKSUM,
        Code.UNNAMEABLE,
        Code.UNSUPPORTED,
        Code.MUST_STAY,
        Code.CHANGED,
    }
)


def of_source(error: HoldfastError) -> Code:
    """The code of what a source raised."""
    match error:
        case d.NotThere():
            return Code.SOURCE_MISSING
        case d.NotAllowed():
            return Code.SOURCE_REFUSED
        case d.Unsupported():
            return Code.UNSUPPORTED
        case InvalidName():
            return Code.UNNAMEABLE
        case _:
            return Code.SOURCE_FAILED


def of_destination(error: HoldfastError) -> Code:
    """The code of what a destination raised."""
    match error:
        case d.NoSpace():
            return Code.DESTINATION_FULL
        case d.NotAllowed():
            return Code.DESTINATION_REFUSED
        case d.NotKept():
            return Code.DESTINATION_EMPTY
        case d.NotAFile() | d.NotADirectory():
            return Code.DESTINATION_OCCUPIED
        case d.Unsupported():
            return Code.UNSUPPORTED
        case InvalidName():
            return Code.UNNAMEABLE
        case _:
            return Code.DESTINATION_FAILED


def of_storage(error: HoldfastError) -> Code:
    """The code of what a storage raised that was to delete."""
    match error:
        case d.NotAllowed():
            return Code.STORAGE_REFUSED
        case d.ChangedWhileRead():
            return Code.CHANGED
        case d.Unsupported():
            return Code.UNSUPPORTED
        case InvalidName():
            return Code.UNNAMEABLE
        case _:
            return Code.STORAGE_FAILED

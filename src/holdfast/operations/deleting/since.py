"""Since: whether anything has come into the journal that may stand in the way of a deletion; read once for all claims.

Rules
  * Files that arrived, were proved, or were deleted as asked stand in nobody's
    way; nor does the end of another request. Everything else may.
  * What is not known counts as if it stood in the way: a history that is not
    ours any more, or more entries than are worth reading.
"""

from __future__ import annotations

from holdfast.inventory.store import Head, JournalEntry, Store
from holdfast.model import changes as c
from holdfast.model.errors import ResyncNeeded
from holdfast.operations.carrying.fence import Shared

ENTRIES_MAX = 500
"""If more has come in between than that, the check itself is quicker than reading it."""

CLOSED_MAX = 10_000
"""Of so many requests that were closed it is remembered where; a check that is older has to be made again."""

_HARMLESS = (c.FilesArrived, c.FilesVerified, c.FilesDeleted, c.BlocksArrived, c.PutGroup, c.SetPermissions)


class Since:
    """What one worker knows of the journal's end."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._begin: Head | None = None
        self._end: Head | None = None
        """What lies between these two was read."""
        self._harm = 0
        """The position of the last entry that may stand in anybody's way."""
        self._closed: dict[str, int] = {}
        """Where requests were closed, the last CLOSED_MAX."""
        self._forgotten = 0
        """Up to here it is not known any more which requests were closed."""
        self._head: Head | None = None
        self._look = Shared(self._read_head)

    async def head(self) -> Head:
        """Where the journal ends, read after this call; many who ask at once share one reading. DatabaseAway."""
        await self._look()
        assert self._head is not None
        return self._head

    async def _read_head(self) -> None:
        self._head = self._store.head()

    def may_matter(self, checked: Head, head: Head, request: str) -> bool:
        """Whether a check at ``checked`` has to be made again at ``head``, for files of ``request``."""
        if self._begin is None or checked.epoch != self._begin.epoch:
            self._start(checked)
        if self._begin is None or checked.position < self._begin.position or not self._read_to(head):
            return True
        return checked.position < max(self._harm, self._forgotten, self._closed.get(request, 0))

    def _start(self, at: Head) -> None:
        self._begin = self._end = at
        self._harm = self._forgotten = 0
        self._closed.clear()

    def _read_to(self, head: Head) -> bool:
        """Read what is new; False if it cannot be known what that was."""
        assert self._end is not None
        if head.epoch != self._end.epoch:
            return False
        if head.position <= self._end.position:
            return True
        try:
            entries = list(self._store.entries(self._end.cursor, limit=ENTRIES_MAX))
        except ResyncNeeded:
            self._begin = self._end = None
            return False
        for entry in entries:
            self._take_in(entry)
        if entries and entries[-1].position < head.position:
            self._harm = head.position
            self._end = head
        elif entries:
            last = entries[-1]
            self._end = Head(last.epoch, last.position, last.digest, last.at_us)
        return True

    def _take_in(self, entry: JournalEntry) -> None:
        for change in entry.changes:
            if isinstance(change, c.CloseRequest):
                self._closed[change.id] = entry.position
                if len(self._closed) > CLOSED_MAX:
                    self._forgotten = max(self._forgotten, self._closed.pop(next(iter(self._closed))))
            elif not isinstance(change, _HARMLESS):
                self._harm = entry.position

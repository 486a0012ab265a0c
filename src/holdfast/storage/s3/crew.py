"""Crew: those who list one large prefix of an object store together.

The keys are cut into ranges (``ranges``). Whoever has nothing to do takes a
range that waits, or else a piece of what somebody else has before them.

Rules
  * Each key comes in exactly one page; pages come as they come.
  * Never more are on their way than half the answers so far, beside the size of
    the crew: guesses cost requests, and must be worth them.
  * At most two pages for each of the crew are in memory; while nobody takes
    pages, nobody asks for more.
  * A store that does not list in the order of keys cannot be listed so, and it
    is found out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from holdfast.storage.s3.prefix import ATTEMPTS, Course, Prefix
from holdfast.storage.s3.ranges import KeyRange, cuts, first_cuts, split
from holdfast.storage.s3.replies import Page

ALONE = 8
"""So many pages are asked for one after the other before a directory counts as large."""


async def pages(prefix: Prefix, size: int) -> AsyncIterator[Page]:
    """All pages of a prefix, up to ``size`` asked for at once where it is large."""
    course = Course(prefix)
    page = course.checked(await prefix.page(KeyRange()))
    yield page
    n_pages, crew = 1, None
    while page.more is not None:
        if n_pages >= ALONE and size > 1 and (crew := Crew.of(prefix, size, page)) is not None:
            break
        page = course.checked(await prefix.page(KeyRange(), page.more, attempts=ATTEMPTS))
        yield page
        n_pages += 1
    if crew is None:
        return
    try:
        async for page in crew.pages():
            yield page
    finally:
        await crew.dismiss()


class _Walk:
    """A range on its way: somebody lists it, page by page, and may be relieved of its end."""

    def __init__(self, keys: KeyRange, more: str | None = None) -> None:
        self.keys = keys
        self.more = more
        """What its next page is asked for by; None: by where it begins."""
        self.at = keys.after.encode()
        self.has_more = False
        """Whether a page said so since the range was last cut."""


class Crew:
    """Those who list the ranges of one large prefix."""

    @classmethod
    def of(cls, prefix: Prefix, size: int, first: Page) -> Crew | None:
        """A crew for what comes after a page; None if that gives nothing to go by."""
        seen = sorted(prefix.names_of(first))
        try:
            return cls(prefix, size, first, seen[0].decode(), seen[-1].decode())
        except (IndexError, UnicodeDecodeError):
            return None

    def __init__(self, prefix: Prefix, size: int, page: Page, first: str, last: str) -> None:
        self._prefix = prefix
        self._queue: asyncio.Queue[Page | BaseException | None] = asyncio.Queue(size)
        self._walks: set[_Walk] = set()
        self._alphabet: set[str] = set()
        self._size = size
        self._answers = ALONE
        self._news = asyncio.Event()
        self._seen(page, b"")
        kept, *others = split(KeyRange(last), first_cuts(first, last))
        # The last one is taken first. What goes on from here comes before anything else, and then what may be
        # most, or nothing, which is as good to know.
        self._waiting = [*map(_Walk, others), _Walk(kept, page.more)]
        self._tasks = [asyncio.ensure_future(self._work()) for _ in range(size)]
        self._ending = asyncio.ensure_future(self._end())

    async def pages(self) -> AsyncIterator[Page]:
        """Pages of all ranges, each as soon as it has come."""
        while (page := await self._queue.get()) is not None:
            if isinstance(page, BaseException):
                raise page
            yield page

    async def dismiss(self) -> None:
        """Stop, however far they are."""
        everybody = [*self._tasks, self._ending]
        for task in everybody:
            task.cancel()
        await asyncio.gather(*everybody, return_exceptions=True)

    async def _end(self) -> None:
        try:
            await asyncio.gather(*self._tasks)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the pages are taken.
            await self._queue.put(error)
        else:
            await self._queue.put(None)

    async def _work(self) -> None:
        while True:
            walk = self._next()
            if walk is None:
                if not self._walks and not self._waiting:
                    self._tell()
                    return
                self._news.clear()
                await self._news.wait()
                continue
            self._walks.add(walk)
            if self._room > 0:
                self._tell()
            await self._list(walk)
            self._walks.discard(walk)
            self._tell()

    def _tell(self) -> None:
        self._news.set()

    @property
    def _room(self) -> int:
        """How many more may be on their way."""
        return min(self._size, self._answers // 2) - len(self._walks)

    def _next(self) -> _Walk | None:
        """A range that waits, or else a piece of one that is on its way."""
        if self._room <= 0:
            return None
        if not self._waiting:
            self._cut()
        return self._waiting.pop() if self._waiting else None

    def _cut(self) -> None:
        """Relieve the one who has most before them, as far as that can be told."""
        for walk in sorted((walk for walk in self._walks if walk.has_more), key=lambda walk: walk.keys.depth):
            with suppress(UnicodeDecodeError):
                left = KeyRange(walk.at.decode(), walk.keys.upto)
                places = cuts(left, self._alphabet, self._room)
                if places:
                    kept, *others = split(left, places)
                    walk.keys, walk.has_more = kept, False
                    self._waiting.extend(map(_Walk, others))
                    return

    async def _list(self, walk: _Walk) -> None:
        course = Course(self._prefix)
        while True:
            page = await self._prefix.page(walk.keys, walk.more, attempts=ATTEMPTS)
            # Its end may have been given to somebody else meanwhile: what counts is what it is now.
            found = self._seen(page, walk.at)
            course.checked(page)
            page, is_beyond = self._cut_off(page, found, walk.keys)
            if found and not is_beyond:
                walk.at = found[-1]
            is_done = is_beyond or page.more is None
            walk.has_more = not is_done
            self._answers += 1
            if self._room > 0:
                self._tell()
            if page.objects or page.prefixes or page.doubt:
                await self._queue.put(page)
            if is_done:
                return
            walk.more = page.more

    def _seen(self, page: Page, after: bytes) -> Sequence[bytes]:
        """The names of a page in their order, which has to be that of the storage too."""
        objects, prefixes = len(page.objects), len(page.prefixes)
        found = self._prefix.names_of(page)
        for part in (found[:objects], found[objects:]):
            if part != sorted(part) or (part and part[0] <= after and after):
                raise self._prefix.misordered()
        if objects and prefixes:
            found.sort()
        self._alphabet.update(b"".join(found).decode(errors="ignore"))
        return found

    def _cut_off(self, page: Page, found: Sequence[bytes], keys: KeyRange) -> tuple[Page, bool]:
        """What of a page belongs to a range, and whether it went beyond."""
        if keys.upto is None or not found or found[-1] <= (upto := keys.upto.encode()):
            return page, False
        skip = len(self._prefix.raw)
        objects = [each for each in page.objects if each[0][skip:] <= upto]
        prefixes = [each for each in page.prefixes if each[skip:] <= upto]
        return Page(objects, prefixes, page.more, page.doubt), True

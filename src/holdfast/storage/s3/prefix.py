"""Prefix: the keys below one directory of an object store, page by page.

A directory is a prefix that ends in "/"; what is directly below it are the
objects with no further "/" and, as directories, the prefixes up to the next
one.

Rules
  * The first page is asked for once: whoever listed asks again. Later pages are
    pieces that nobody else can ask for again; they get ``ATTEMPTS``.
  * An answer that is about other keys is PeerError.
  * Pages lead on: each begins after all that came before, and of pages with
    nothing in them there are at most ``EMPTY_PAGES_MAX`` in a row, no two with
    the same continuation. Everything else is PeerError.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from holdfast.model.errors import HoldfastError, OperatorError, PeerError
from holdfast.storage.s3 import replies as s3_replies
from holdfast.storage.s3.ranges import KeyRange
from holdfast.storage.s3.replies import Page
from holdfast.storage.s3.requests import S3Client

ATTEMPTS = 4
PAUSE_S = 0.25
"""Before the second attempt; doubled before each further one."""
EMPTY_PAGES_MAX = 10_000
"""Stores pass over what was deleted lately a thousand keys at a time, and send a page for each thousand."""


class Prefix:
    """The keys below one directory."""

    def __init__(self, client: S3Client, prefix: str, place: str) -> None:
        self._client = client
        self._prefix = prefix
        self._place = place
        self.raw = prefix.encode()

    async def page(
        self, keys: KeyRange, more: str | None = None, *, attempts: int = 1, keys_max: int | None = None
    ) -> Page:
        """One page of a range: the first, or the one that ``more`` of the page before stands for."""
        query = {"list-type": "2", "prefix": self._prefix, "delimiter": "/", "encoding-type": "url"}
        if more is not None:
            query["continuation-token"] = more
        elif keys.after:
            query["start-after"] = self._prefix + keys.after
        return await self._asked(query, attempts, keys_max)

    async def old_page(self, marker: str, *, attempts: int = 1, keys_max: int | None = None) -> Page:
        """A page of the older way of listing, which other code of the store answers."""
        query = {"prefix": self._prefix, "delimiter": "/", "encoding-type": "url", "marker": marker}
        return await self._asked(query, attempts, keys_max)

    async def old_pages(self) -> AsyncIterator[Page]:
        """All pages in the older way, one after the other."""
        course = Course(self)
        page = course.checked(await self.old_page(""))
        yield page
        while page.more is not None:
            page = course.checked(await self.old_page(page.more, attempts=ATTEMPTS))
            yield page

    def names_of(self, page: Page) -> list[bytes]:
        """The keys and prefixes of a page without what they have in common."""
        skip = len(self.raw)
        return [key[skip:] for key, _ in page.objects] + [each[skip:] for each in page.prefixes]

    def circles(self) -> PeerError:
        """What is raised where pages would be asked for for ever."""
        return PeerError("the listing goes round in circles: a page does not lead on", place=self._place)

    async def _asked(self, query: dict[str, str], attempts: int, keys_max: int | None) -> Page:
        if keys_max is not None:
            query["max-keys"] = str(keys_max)
        for attempt in range(attempts):
            if attempt:
                await asyncio.sleep(PAUSE_S * 2 ** (attempt - 1))
            try:
                reply = await self._client.call("GET", query=query, place=self._place)
                return self._about_us(s3_replies.page(reply.body))
            except HoldfastError as error:
                error.place = error.place or self._place
                if not error.retryable or attempt + 1 == attempts:
                    raise
        raise AssertionError("no attempt was made")

    def _about_us(self, page: Page) -> Page:
        prefix = self.raw
        if not all(key.startswith(prefix) for key, _ in page.objects):
            raise PeerError("the listing has keys of another directory")
        if not all(each.startswith(prefix) and each.endswith(b"/") for each in page.prefixes):
            raise PeerError("the listing has prefixes of another directory")
        return page

    def misordered(self) -> OperatorError:
        """What is raised where pages contradict the order of keys."""
        return OperatorError(
            "the storage does not list in the order of keys",
            place=self._place,
            hint="set ranges=1 in the root of the door",
        )


class Course:
    """One page after the other of a prefix; each has to lead on."""

    def __init__(self, prefix: Prefix) -> None:
        self._prefix = prefix
        self._last: bytes | None = None
        self._continuations: set[str] = set()
        """Of the last page that had something in it, and of all since."""

    def checked(self, page: Page) -> Page:
        """The next page, if it leads on; PeerError if not."""
        if page.more in self._continuations or len(self._continuations) > EMPTY_PAGES_MAX:
            raise self._prefix.circles()
        found = self._prefix.names_of(page)
        if found:
            if self._last is not None and min(found) <= self._last:
                raise self._prefix.circles()
            self._last = max(found)
            self._continuations.clear()
        if page.more is not None:
            self._continuations.add(page.more)
        return page

"""What a page of an object store's listing says of one directory, as entries of ours.

Pure. Objects and prefixes of one name may be there together; both are told, the
object first.

Rules
  * Of a directory neither size nor time is told: the size is 0 as everywhere,
    the time is NOT_TOLD.
  * A key that ends in "/" and holds nothing is how some tools make a directory:
    it is no entry. One that holds something, an empty component, "." and
    "..", and what is no name of ours are told as Unnameable; prefixes with
    their "/".
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from operator import attrgetter, itemgetter

from holdfast.model import names
from holdfast.model.errors import InvalidName
from holdfast.storage.driver import NOT_TOLD, DirectoryListing, Entry, Kind, Stat, Unnameable
from holdfast.storage.s3.replies import Page

DIRECTORY = Stat(Kind.DIRECTORY, 0, NOT_TOLD)

# Made by the hundred thousand, in one loop that is not Python's.
_entry = partial(tuple.__new__, Entry)


def listing_of(page: Page, prefix: str, path: str) -> DirectoryListing:
    """A page as entries of the directory ``path``, in the order of the names' bytes."""
    skip = len(prefix.encode())
    raws = [key[skip:] for key, _ in page.objects]
    stats = [stat for _, stat in page.objects]
    unnameable: list[Unnameable] = []
    if raws and not raws[0]:
        unnameable += [Unnameable(b"", "a key that ends in '/' and holds bytes")] if stats[0].size else []
        del raws[0], stats[0]
    raws += [each[skip:-1] for each in page.prefixes]
    stats += [DIRECTORY] * len(page.prefixes)
    try:
        texts = [raw.decode() for raw in raws]
        names.check_files([path], [0] * len(texts), texts)
        entries = list(map(_entry, zip(texts, stats, strict=True)))
    except (UnicodeDecodeError, InvalidName):
        entries = _one_by_one(zip(raws, stats, strict=True), path, unnameable)
    # Text sorts by code points, as do the bytes of UTF-8; of one name the object stays first.
    entries.sort(key=itemgetter(0))
    unnameable.sort(key=attrgetter("raw"))
    return DirectoryListing(tuple(entries), tuple(unnameable), page.doubt)


def _one_by_one(together: Iterable[tuple[bytes, Stat]], path: str, unnameable: list[Unnameable]) -> list[Entry]:
    entries = []
    for raw, stat in together:
        shown = raw + b"/" if stat.kind is Kind.DIRECTORY else raw
        try:
            name = raw.decode()
            names.check_files([path], [0], [name])
            entries.append(Entry(name, stat))
        except UnicodeDecodeError:
            unnameable.append(Unnameable(shown, "the name is not UTF-8"))
        except InvalidName as error:
            unnameable.append(Unnameable(shown, error.message))
    return entries

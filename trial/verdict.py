"""Verdict: the real sites as they are in the end, held against the trial's own book.

Pure: book and what was seen in, problems out, none if all is well.

Rules
  * Every file that is to be at a site is there with its bytes, and no other:
    nothing went that was not asked to go, nothing came that nobody brought.
  * In the quarantine lie exactly the old orphans, with their bytes.
  * A young orphan stays where it is.
  * Every damage was called what it is by some check, and nothing else was
    called anything: what only lay below an unlisted directory is nobody's damage.
  * Empty directories are gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field

from trial.book import ACCUSED, CALLED, Book, Content, Kind

QUARANTINE = "/.holdfast-quarantine/"
SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Seen:
    """A site as it lies on disk: the content of each file, and all directories."""

    files: Mapping[str, Content]
    directories: Set[str] = field(default_factory=frozenset)


def problems(book: Book, seen: Mapping[str, Seen]) -> list[str]:
    """Everything that is not as the book says, a sentence each."""
    found = [problem for site in book.real for problem in _of_site(book, site, seen[site])]
    return [*found, *_not_named(book), *_accused(book)]


def _of_site(book: Book, site: str, seen: Seen) -> Iterator[str]:
    expected, dark = book.expected(site), book.dark.get(site, {})
    quarantined = {path: content for path, content in seen.files.items() if path.startswith(QUARANTINE)}
    yield from _of_files(site, expected, seen.files, dark)
    yield from _of_quarantine(site, dark, quarantined, seen.files)
    for damage in book.of_site(site):
        is_there = damage.path in seen.directories
        if damage.kind is Kind.EMPTY and is_there:
            yield f"{site}: the empty directory {damage.path} is still there"
        if damage.kind is Kind.UNLISTED and not is_there:
            yield f"{site}: the unlisted directory {damage.path} is gone"


def _of_files(
    site: str, expected: Mapping[str, Content], files: Mapping[str, Content], dark: Mapping[str, Content]
) -> Iterator[str]:
    for path, content in expected.items():
        there = files.get(path)
        if there is None:
            yield f"{site}: {path} is gone, and was to stay"
        elif there != content:
            yield f"{site}: {path} is {there}, not {content}"
    for path in files:
        if path not in expected and path not in dark and not path.startswith(QUARANTINE):
            yield f"{site}: {path} is there, and nobody put it there to stay"


def _of_quarantine(
    site: str, dark: Mapping[str, Content], quarantined: Mapping[str, Content], files: Mapping[str, Content]
) -> Iterator[str]:
    left = dict(dark)
    for place, content in quarantined.items():
        # Behind the quarantine's name comes the day, then the path it had.
        path = "/" + place.removeprefix(QUARANTINE).partition("/")[2]
        if path not in left:
            yield f"{site}: {place} is in the quarantine, and was no old orphan"
        elif left.pop(path) != content:
            yield f"{site}: {place} was changed on its way into the quarantine"
        if path in files:
            yield f"{site}: {path} is in its place and in the quarantine"
    for path in left:
        where = "still in its place" if path in files else "gone, not in the quarantine"
        yield f"{site}: the old orphan {path} is {where}"


def _not_named(book: Book) -> Iterator[str]:
    for damage in book.damages:
        called = book.named.get(damage.site, {}).get(damage.path, set())
        if not called.intersection(CALLED[damage.kind]):
            said = f"only called {', '.join(sorted(called))}" if called else "named by no check"
            yield f"{damage.site}: {damage.path} ({damage.kind.value}) was {said}"


def _accused(book: Book) -> Iterator[str]:
    guilty: dict[tuple[str, str], set[str]] = {}
    for damage in book.damages:
        guilty.setdefault((damage.site, damage.path), set()).update(CALLED[damage.kind])
    for site, paths in book.named.items():
        for path, called in paths.items():
            wrong = called.intersection(ACCUSED) - guilty.get((site, path), set())
            for word in sorted(wrong):
                yield f"{site}: {path} was called {word}, and nobody did that to it"

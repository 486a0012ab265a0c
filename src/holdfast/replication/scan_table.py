"""ScanTable: the files of unfinished publications, as listed and as read.

What a publish has listed and read so far lies in the room's own tables, so
that the next run need not read it again. A publication is found again by its
dataset, site and directory; its files are kept by LFN.

Rules
  * A digest belongs to one (size, mtime, version) of a file: keeping another
    one, or another algorithm, drops it.
  * A publication has one owner: who claims it takes it over from whoever had
    it, dead or alive. Each write of a former owner, and each of his change
    sets that carries ``guard``, fails with TakenOver and does nothing. So a
    killed run hinders nobody, without timeouts or heartbeats.
  * Each listing is a turn. Files that the latest turn has not seen are gone
    once ``drop_unseen`` has been called.
  * Long lists are read in pages, each in a transaction of its own; between
    two pages only the owner writes.

A failure leaves the tables as they were before the call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, delete, func, insert, select, tuple_, update

from holdfast.inventory.store import Store
from holdfast.model import names
from holdfast.model.errors import Conflict
from holdfast.model.names import DatasetKey
from holdfast.replication.plan import ReadFile
from holdfast.replication.publication import PROBLEMS_MAX, Publication
from holdfast.replication.scan_schema import DIGESTS_STATEMENT, files, keep_statement, metadata, publications

PAGE_ROWS = 10_000


class TakenOver(Conflict):
    """Another publish of the same dataset from the same place has begun since."""


class ScannedFile(NamedTuple):
    """A file as a listing saw it, under its LFN; ``is_new``: no earlier listing had seen it."""

    dir: str
    name: str
    size: int
    mtime_ns: int
    version: str
    is_new: bool = False

    @property
    def lfn(self) -> str:
        """The file's LFN."""
        return names.join(self.dir, self.name)


class Read(NamedTuple):
    """Digests that belong to ``found`` exactly as it was."""

    found: ScannedFile
    adler32: str
    strong: str
    read_us: int


@dataclass(frozen=True, slots=True)
class Claim:
    """The ownership of a publication, as of one turn."""

    publication: int
    turn: int


@dataclass(frozen=True, slots=True)
class Totals:
    """How many files are listed, and how many of them have been read."""

    n_files: int
    size: int
    n_read: int
    size_read: int


class ScanTable:
    """The tables above, in the store that also has the inventory."""

    def __init__(self, store: Store) -> None:
        self._room = store.room(metadata)

    def claim(self, publication: Publication) -> Claim:
        """Become the owner of a publication, new or begun; its first turn begins."""
        values = _identity(publication)
        with self._room.write() as connection:
            known = [publications.c[column] == value for column, value in values.items()]
            row = connection.execute(select(publications).where(*known)).one_or_none()
            if row is None:
                values |= {"algorithm": publication.algorithm, "turn": 1}
                number = connection.scalar(insert(publications).values(**values).returning(publications.c.id))
                assert number is not None
                return Claim(int(number), 1)
            if row.algorithm != publication.algorithm:
                blank = {"adler32": None, "strong": None, "read_us": None}
                connection.execute(update(files).where(files.c.publication == row.id).values(**blank))
            return _next_turn(connection, Claim(row.id, row.turn), publication.algorithm)

    def next_turn(self, claim: Claim) -> Claim:
        """Begin another listing."""
        with self._owned(claim) as connection:
            return _next_turn(connection, claim)

    def guard(self, claim: Claim) -> Callable[[Connection], None]:
        """For ``Store.commit(also=...)``: the change set holds only while ``claim`` does."""

        def check(connection: Connection) -> None:
            _check(connection, claim)

        return check

    def keep(self, claim: Claim, found: Sequence[ScannedFile]) -> None:
        """Keep what a listing has found; a digest stays if the file does."""
        common = {"publication": claim.publication, "first_turn": claim.turn, "turn": claim.turn}
        # Sorted, because the table is: neighbours go to the same page of the file.
        rows = [{**each._asdict(), **common} for each in sorted(found)]
        for row in rows:
            del row["is_new"]
        if rows:
            with self._owned(claim) as connection:
                connection.execute(keep_statement(connection.dialect.name), rows)

    def drop_unseen(self, claim: Claim) -> tuple[int, list[str]]:
        """Forget the files that this turn has not seen; how many, and the LFNs of some."""
        gone = and_(files.c.publication == claim.publication, files.c.turn != claim.turn)
        with self._owned(claim) as connection:
            query = select(files.c.dir, files.c.name).where(gone).order_by(files.c.dir, files.c.name)
            lfns = [names.join(*row) for row in connection.execute(query.limit(PROBLEMS_MAX))]
            return connection.execute(delete(files).where(gone)).rowcount, lfns

    def keep_digests(self, claim: Claim, read: Sequence[Read]) -> None:
        """Keep the digests of files that are still listed as they were when they were read."""
        rows = [
            {
                "publication_": claim.publication,
                **{f"{column}_": value for column, value in each.found._asdict().items() if column != "is_new"},
                "adler32": each.adler32,
                "strong": each.strong,
                "read_us": each.read_us,
            }
            for each in read
        ]
        if rows:
            with self._owned(claim) as connection:
                connection.execute(DIGESTS_STATEMENT, rows)

    def totals(self, claim: Claim) -> Totals:
        """Count what is listed and what has been read."""
        is_read = files.c.read_us.is_not(None)
        query = select(
            func.count(),
            func.coalesce(func.sum(files.c.size), 0),
            func.count(files.c.read_us),
            func.coalesce(func.sum(case((is_read, files.c.size), else_=0)), 0),
        ).where(files.c.publication == claim.publication)
        with self._room.read() as connection:
            return Totals(*map(int, connection.execute(query).one()))

    def listed(self, claim: Claim, *, unread_only: bool = False) -> Iterator[list[ScannedFile]]:
        """What is listed, or that part of it that nobody has read, in pages by directory and name."""
        is_new = (files.c.first_turn == claim.turn).label("is_new")
        columns = (files.c.dir, files.c.name, files.c.size, files.c.mtime_ns, files.c.version, is_new)
        wanted = (files.c.read_us.is_(None),) if unread_only else ()
        for page in self._pages(claim, columns, wanted):
            yield [ScannedFile(*row) for row in page]

    def read_files(self, claim: Claim) -> Iterator[ReadFile]:
        """All files with what reading them has shown, by directory and name; all must have been read."""
        columns = (files.c.dir, files.c.name, files.c.size, files.c.adler32, files.c.strong, files.c.read_us)
        for page in self._pages(claim, columns, ()):
            for row in page:
                if row.read_us is None:
                    raise _taken_over()  # We read them all: somebody else has listed them since.
                yield ReadFile(*row)

    def forget(self, claim: Claim) -> None:
        """Drop a publication and its files, a page at a time, the publication last."""
        while self._delete_page(claim):
            pass
        with self._owned(claim) as connection:
            connection.execute(delete(publications).where(publications.c.id == claim.publication))

    def has_any(self, dataset: DatasetKey) -> bool:
        """Whether anything is kept of a publication of ``dataset``, whatever its place."""
        with self._room.read() as connection:
            return connection.execute(select(publications.c.id).where(_of(dataset)).limit(1)).first() is not None

    def claim_all(self, dataset: DatasetKey) -> list[Claim]:
        """Take over every publication of ``dataset``, whatever its place."""
        with self._room.write() as connection:
            rows = connection.execute(select(publications.c.id, publications.c.turn).where(_of(dataset))).all()
            return [_next_turn(connection, Claim(row.id, row.turn)) for row in rows]

    def _delete_page(self, claim: Claim) -> bool:
        """Drop the first files; whether any are left."""
        key = tuple_(files.c.dir, files.c.name)
        mine = files.c.publication == claim.publication
        last = select(files.c.dir, files.c.name).where(mine).order_by(files.c.dir, files.c.name)
        with self._owned(claim) as connection:
            end = connection.execute(last.limit(1).offset(PAGE_ROWS - 1)).one_or_none()
            condition = and_(mine, key <= tuple_(*end)) if end is not None else mine
            connection.execute(delete(files).where(condition))
            return end is not None

    def _pages(self, claim: Claim, columns: Sequence[Any], wanted: Sequence[ColumnElement[bool]]) -> Iterator[Any]:
        """Rows that begin with directory and name, in pages that go on after the last row of the one before."""
        query = (
            select(*columns)
            .where(files.c.publication == claim.publication, *wanted)
            .order_by(files.c.dir, files.c.name)
            .limit(PAGE_ROWS)
        )
        here = query
        while True:
            with self._room.read() as connection:
                page = connection.execute(here).all()
            if page:
                yield page
            if len(page) < PAGE_ROWS:
                return
            here = query.where(tuple_(files.c.dir, files.c.name) > tuple_(*page[-1][:2]))

    @contextmanager
    def _owned(self, claim: Claim) -> Iterator[Connection]:
        with self._room.write() as connection:
            _check(connection, claim)
            yield connection


def _of(dataset: DatasetKey) -> ColumnElement[bool]:
    return and_(publications.c.dataset_name == dataset.name, publications.c.dataset_version == dataset.version)


def _identity(publication: Publication) -> dict[str, Any]:
    return {
        "dataset_name": publication.dataset.name,
        "dataset_version": publication.dataset.version,
        "site": publication.site.name,
        "directory": publication.directory,
    }


def _check(connection: Connection, claim: Claim) -> None:
    turn = connection.scalar(select(publications.c.turn).where(publications.c.id == claim.publication))
    if turn != claim.turn:
        raise _taken_over()


def _taken_over() -> TakenOver:
    return TakenOver(
        "another publish of the same dataset has taken over",
        hint="let that one finish; nothing that was read here is lost",
    )


def _next_turn(connection: Connection, claim: Claim, algorithm: str | None = None) -> Claim:
    values: dict[str, Any] = {"turn": claim.turn + 1} | ({"algorithm": algorithm} if algorithm else {})
    connection.execute(update(publications).where(publications.c.id == claim.publication).values(**values))
    return Claim(claim.publication, claim.turn + 1)

"""SqlInventory: what should be at a site, by a query of anybody's database.

    SELECT path, bytes AS size, adler32, state FROM replicas WHERE rse = :site

Any database that SQLAlchemy speaks to. ``:site`` is the site's name, given as a
parameter. The columns are known by their names (``storage.dump.layout``): path
or lfn (or dir and name), size, adler32, state; others are ignored.

Rules
  * Nothing is changed there: the transaction is read-only where the database
    knows such a thing, and is never committed.
  * Rows come in pieces, from a cursor of the server where there is one (``sql_answers``).
  * ``state`` other than A: known, not expected, as in Rucio.
  * The answer is one statement's: one moment of the database, if it has such.

Raises BadInput for a query that is none of ours, OperatorError for what the
database says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from sqlalchemy import Connection, Engine, NullPool, TextClause, create_engine, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from holdfast.consistency.sources import catalogue_table, sql_answers
from holdfast.consistency.sources.inventory import Written
from holdfast.model.errors import BadInput, OperatorError
from holdfast.model.records import Site

_EXAMPLE = "SELECT path, size, adler32 FROM replicas WHERE site = :site"


class SqlInventory:
    """A database as an ``Inventory``."""

    def __init__(self, url: str, query: str, *, is_empty_allowed: bool = False) -> None:
        self._url = _parsed(url)
        self._query = _checked(query)
        self._is_empty_allowed = is_empty_allowed

    @property
    def label(self) -> str:
        """The database, without a password, and the query."""
        return f"sql {self._place}: {' '.join(self._query.text.split())}"

    @property
    def _place(self) -> str:
        return self._url.render_as_string(hide_password=True)

    def write(self, site: Site, target: Path) -> Written:
        """Run the query."""
        with self._errors(), self._connection() as connection:
            answers = sql_answers.copied if connection.dialect.driver == "psycopg" else sql_answers.fetched
            with answers(connection, self._query, site.name) as answer:
                catalogue_table.check_columns(answer.columns, self._place)
                written = catalogue_table.write_batches(
                    answer.batches, site, target, place=f"{self._place} for {site.name}"
                )
        if not written.files and not self._is_empty_allowed:
            raise OperatorError(
                f"the query finds no file that should be at {site.name}",
                place=self._place,
                hint="does the catalogue call the site otherwise? If it may be empty, allow that",
            )
        return written

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        engine = _engine(self._url)
        try:
            with engine.connect() as connection:
                yield _reading(connection)
                connection.rollback()
        finally:
            engine.dispose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise self._refusal(error.orig if isinstance(error, DBAPIError) and error.orig else error) from error
        except (sqlite3.Error, pa.ArrowException) as error:
            raise self._refusal(error) from error
        except Exception as error:
            # What a driver raises beneath SQLAlchemy is of its own kind: PEP 249 knows them by one name only.
            if "Error" in {kind.__name__ for kind in type(error).__mro__}:
                raise self._refusal(error) from error
            raise

    def _refusal(self, error: BaseException) -> OperatorError:
        said = (str(error).splitlines() or [type(error).__name__])[0][:300]
        password = self._url.password
        return OperatorError(
            f"the catalogue's database says: {said.replace(str(password), '***') if password else said}",
            place=self._place,
            hint="correct the address or the query in the configuration, or ask those who run it",
        )


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        # Its own words would show the whole text, with whatever is in it.
        raise BadInput("that is not the address of a database", hint="write DIALECT://USER@HOST/DATABASE") from error
    if parsed.drivername in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def _checked(query: str) -> TextClause:
    clause = text(query.strip().removesuffix(";"))
    wanted = set(clause.compile().params)
    if wanted != {"site"}:
        lacking = (
            "does not ask for a :site" if "site" not in wanted else f"has parameters beside :site: {sorted(wanted)}"
        )
        raise BadInput(f"the query {lacking}", hint=f"for instance {_EXAMPLE}")
    return clause


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).is_file():
        raise OperatorError("there is no such database", place=url.render_as_string(), hint="correct the address")
    try:
        return create_engine(url, poolclass=NullPool)
    except (NoSuchModuleError, ImportError) as error:
        raise OperatorError(
            f"nothing here speaks to such a database: {str(error).splitlines()[0][:200]}",
            place=url.render_as_string(hide_password=True),
            hint="install SQLAlchemy's driver for it",
        ) from error


def _reading(connection: Connection) -> Connection:
    """The connection, so that nothing is changed through it."""
    if connection.dialect.name == "postgresql":
        return connection.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA query_only = ON")
    return connection

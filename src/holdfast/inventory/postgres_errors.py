"""What PostgreSQL's complaints mean, and what to do about them.

A server's complaint has a code. One that comes while connecting has only its
words, in the server's language: those that are not known are taken for a
server that cannot be reached.
"""

from __future__ import annotations

import psycopg

from holdfast.model.errors import BadInput, DatabaseAway, HoldfastError, OperatorError

_AWAY = ("the connection to the database was lost", "is the server running, and the network up?")
_STARTING = ("the database server is starting up or shutting down", "wait until it is ready")
_CROWDED = ("the database server has no connection left", "raise max_connections, or use fewer servers and workers")
_READ_ONLY = ("the database is read-only", "is it a standby, or set to default_transaction_read_only?")
_FULL = ("the database server's disk is full", "free some space; nothing was changed")
_DENIED = ("we may not do that in this database", "grant the user of the URL the tables and their schema")
_PASSWORD = ("the database server refuses user or password", "look at the URL, PGPASSFILE and pg_hba.conf")
_NO_DATABASE = ("there is no such database", "make it: createdb --template template0 --encoding UTF8 NAME")
_NO_SCHEMA = ("there is no schema to put tables in", "make the schema that search_path names")
_NO_INVENTORY = ("there is no inventory", "run `holdfast init` or restore a backup")
_BUSY = ("the database server gave up waiting", "try again; is a long transaction or a backup under way?")
_DAMAGED = ("the database server reports damaged data", "look at its log, and restore a backup")
_UNREACHABLE = ("the database server cannot be reached", "is it running, and are host and port right?")
_SETTING = ("the URL asks for something that the client does not know", "look at what follows its question mark")

_AWAY_BY_CODE = {
    "08": _AWAY,
    "57P01": _STARTING,
    "57P02": _STARTING,
    "57P03": _STARTING,
    "57P05": _AWAY,
    "25P03": _AWAY,
    "25P04": _AWAY,
    "53300": _CROWDED,
    "25006": _READ_ONLY,
    "55000": _READ_ONLY,
    "55P03": _BUSY,
    "40": _BUSY,
    "57014": _BUSY,
}
_BY_CODE = {
    "53": _FULL,
    "58": _FULL,
    "42501": _DENIED,
    "28": _PASSWORD,
    "3D000": _NO_DATABASE,
    "3F000": _NO_SCHEMA,
    "42P01": _NO_INVENTORY,
    "42703": ("this is no inventory of Holdfast", "is the URL right?"),
    "XX": _DAMAGED,
}
_AWAY_BY_WORDS = {
    "starting up": _STARTING,
    "shutting down": _STARTING,
    "not yet accepting connections": _STARTING,
    "too many c": _CROWDED,
    "remaining connection slots": _CROWDED,
}
_BY_WORDS = {
    "password": _PASSWORD,
    "pg_hba.conf": _PASSWORD,
    'role "': _PASSWORD,
    'database "': _NO_DATABASE,
    "permission denied for database": _DENIED,
    "invalid connection option": _SETTING,
    "invalid sslmode": _SETTING,
}


def translated(error: psycopg.Error, place: str) -> HoldfastError | None:
    """Our error for one of psycopg's; None if it speaks of a fault of ours."""
    code = error.sqlstate or ""
    if isinstance(error, psycopg.DataError) and (not code or code.startswith("22")) and "NUL" in str(error):
        return BadInput("text with a NUL character cannot be kept", hint="leave it out")
    if code == "54000":
        return BadInput(f"a text is too long for the database: {_first_line(error)}")
    for table, kind in ((_AWAY_BY_CODE, DatabaseAway), (_BY_CODE, OperatorError)):
        known = code and (table.get(code) or table.get(code[:2]))
        if known:
            return _made(kind, known, error, place)
    if code or not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return None
    return _of_words(error, place)


def _of_words(error: psycopg.Error, place: str) -> HoldfastError:
    words = str(error)
    for table, kind in ((_AWAY_BY_WORDS, DatabaseAway), (_BY_WORDS, OperatorError)):
        for part, known in table.items():
            if part in words:
                return _made(kind, known, error, place)
    return _made(DatabaseAway, _UNREACHABLE if "connection failed" in words else _AWAY, error, place)


def _made(kind: type[OperatorError], known: tuple[str, str], error: psycopg.Error, place: str) -> OperatorError:
    what, hint = known
    return kind(f"{what}: {_first_line(error)}", place=place, hint=hint)


def _first_line(error: psycopg.Error) -> str:
    return str(error).partition("\n")[0].strip()

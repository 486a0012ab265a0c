"""DumpOptions: what the root of a door to a dump says, beside where the dump is.

    file:///dumps/dump_20261101.gz?layout=rucio&prefix=/store&taken=2026-11-01
    /dumps/inventory/manifest.json

    layout      how it is written, where that does not show: see ``layout``
    columns     what stands in the columns, in their order: path,size,mtime,-,adler32
    header      yes or no: whether the first line names the columns
    delimiter   tab, comma, semicolon, pipe or blank
    times       seconds, milliseconds, nanoseconds, days or iso: how mtime is written
    prefix      what stands before every path and is taken off; a whole URL, too
    under       what is put before every path: where the dumped tree hangs at the site
    taken       when it was made: 2026-11-01, 2026-11-01T06:30Z, or seconds since 1970
    states      of a replica dump: the states whose files are there (A)
    bucket      of an inventory: the folder with the copy of the bucket in which its files are
    empty       allowed: it may hold nothing at all

Rules
  * An option that is not known, or given twice, or has a value that makes no
    sense, is BadInput that names the known ones.
  * In a ``file:`` URL the path is percent-encoded, in a bare path it is not; the
    options are in both.
  * A time without a zone is UTC. A day without a time is all of that day.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from holdfast.model import names
from holdfast.model.errors import BadInput, InvalidName
from holdfast.storage.abilities import Taken

_T = TypeVar("_T")

SECOND_NS = 1_000_000_000
_DAY = timedelta(days=1)
_MOMENT_NS = timedelta(microseconds=1)

KNOWN = ("layout", "columns", "header", "delimiter", "times", "prefix", "under", "taken", "states", "bucket", "empty")
_DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "blank": " "}
_YES_NO = {"yes": True, "no": False}
_ROOT_HINT = "write file:///folder/dump?layout=... or /folder/dump"


class Times(StrEnum):
    """How a dump writes a moment."""

    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    NANOSECONDS = "nanoseconds"
    DAYS = "days"
    ISO = "iso"


@dataclass(frozen=True, slots=True)
class DumpOptions:
    """Where a dump is and what was said of it; None and "": nothing was said."""

    path: Path
    layout: str = ""
    columns: tuple[str, ...] = ()
    header: bool | None = None
    delimiter: str = ""
    times: Times | None = None
    prefix: str = ""
    under: str = ""
    taken: Taken | None = None
    states: frozenset[str] = frozenset({"A"})
    empty: bool = False
    bucket: Path | None = None


def parse(root: str) -> DumpOptions:
    """What ``root`` says; BadInput names what does not make sense."""
    path, query = _divide(root)
    if not path.startswith("/") or "\0" in path:
        raise BadInput(f"{root[:120]!r} is not the root of a dump", hint=_ROOT_HINT)
    said = _pairs(query)
    header = _choice(said, "header", _YES_NO)
    taken = said.get("taken", "")
    return DumpOptions(
        path=Path(path),
        layout=said.get("layout", ""),
        columns=tuple(column.strip() for column in said["columns"].split(",")) if "columns" in said else (),
        header=header,
        delimiter=_choice(said, "delimiter", _DELIMITERS) or "",
        times=_choice(said, "times", {times.value: times for times in Times}),
        prefix=said.get("prefix", ""),
        under=_under(said.get("under", "")),
        taken=moment(taken, "option") if taken else None,
        states=frozenset(state.strip() for state in said.get("states", "A").split(",")),
        bucket=_folder(said.get("bucket", "")),
        empty=_choice(said, "empty", {"allowed": True, "refused": False}) or False,
    )


def _divide(root: str) -> tuple[str, str]:
    if "://" not in root.partition("?")[0]:
        path, _, query = root.partition("?")
        return path, query
    try:
        parts = urlsplit(root)
        if parts.scheme != "file" or parts.netloc not in ("", "localhost") or parts.fragment:
            return "", ""
        return unquote(parts.path, errors="strict"), parts.query
    except ValueError:
        return "", ""


def _pairs(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    except ValueError as error:
        raise BadInput(f"the options {query[:120]!r} cannot be read", hint="write name=value&name=value") from error
    said = dict(pairs)
    if len(said) != len(pairs):
        raise BadInput(f"an option is there twice: {query[:120]!r}", hint="give each once")
    for name in said:
        if name not in KNOWN:
            near = difflib.get_close_matches(name, KNOWN, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(KNOWN)}"
            raise BadInput(f"a dump has no option {name!r}", hint=hint)
    return said


def _choice(said: dict[str, str], name: str, choices: dict[str, _T]) -> _T | None:
    if name not in said:
        return None
    if said[name] not in choices:
        raise BadInput(f"{name}={said[name][:80]} makes no sense", hint=f"write {' or '.join(choices)}")
    return choices[said[name]]


def _folder(text: str) -> Path | None:
    if not text:
        return None
    if not text.startswith("/") or "\0" in text:
        raise BadInput(f"bucket={text[:80]} is no absolute path of a folder", hint="write bucket=/a/b")
    return Path(text)


def _under(text: str) -> str:
    if text in ("", "/"):
        return ""
    try:
        return names.directory(text)
    except InvalidName as error:
        raise BadInput(f"under={text[:80]} is no directory: {error.message}", hint="write under=/a/b") from error


def moment(text: str, source: str) -> Taken:
    """The moment, or the whole day, that ``text`` names; BadInput if it names none."""
    try:
        if re.fullmatch(r"[0-9]{9,11}", text):
            return _between(datetime.fromtimestamp(int(text), UTC), timedelta(seconds=1), source)
        found = datetime.fromisoformat(text)
        begin = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        return _between(begin, _DAY if re.fullmatch(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}", text) else _MOMENT_NS, source)
    except (ValueError, OverflowError, OSError) as error:
        hint = "write 2026-11-01, 2026-11-01T06:30Z, or seconds since 1970"
        raise BadInput(f"{text[:80]!r} is no day and no time", hint=hint) from error


def _between(begin: datetime, length: timedelta, source: str) -> Taken:
    first_ns = (begin - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    return Taken(first_ns, first_ns + length // timedelta(microseconds=1) * 1000, source)

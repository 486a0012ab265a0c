"""DumpSources: the files of which a dump is made, and when it was taken.

    a file               dump_20261101, listing.tsv.gz, entries.parquet
    parts by number      the root names NAME, there are NAME.00000, NAME.00001 ...
    a folder of parts    all its files, by name; what begins with ``.`` or ``_`` is none
    an inventory         manifest.json, or the folder it is in; the files beside it, below it, or where
                         ``bucket`` of the door says
    our own listing      the folder with listing.json

Rules
  * A manifest is somebody else's word: it may name files in its own folder, and
    in that of the option ``bucket``, and none beyond, not by links either.
  * A folder of parts is one dump: sub-folders in it, and names with the dates of
    several days, are BadInput.
  * Parts that are numbered begin at 0 and leave none out.
  * A manifest that disagrees with its ``manifest.checksum``, or a file with the
    manifest (its size, its MD5), is BadInput; so is one that is not there.
  * A file that is not the same at the end as when it was found is BadInput.
  * When a dump was taken is known by option, manifest or our own listing's
    summary, else by a date in the name; else the file's time stands for it,
    which is a guess: a copy is younger than what it shows.

Raises OperatorError for what cannot be opened, BadInput for what is not whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.model.errors import BadInput, OperatorError
from holdfast.storage.abilities import Taken
from holdfast.storage.dump import options as dump_options
from holdfast.storage.dump.options import DumpOptions
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.summary import LISTING
from holdfast.storage.listing.tables import ENTRIES
from holdfast.storage.packed import HEAD_BYTES, Compression, compression

MANIFEST = "manifest.json"
MANIFEST_CHECKSUM = "manifest.checksum"

_MANIFEST_BYTES_MAX = 1 << 28
_DAY_NS = 86_400 * dump_options.SECOND_NS
_GET_AGAIN = "get the dump again, all of it"
_NUMBERED = re.compile(r"\.([0-9]{5})(\.gz)?\Z")
_SEPARATED = r"(?<![0-9])({})(?![0-9])"
_YEAR, _MONTH, _DAY = "(?:19|20)[0-9]{2}", "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
_TO_THE_MINUTE = re.compile(_SEPARATED.format(f"{_YEAR}-{_MONTH}-{_DAY}T[0-9]{{2}}-[0-9]{{2}}Z"))
_TO_THE_DAY = re.compile(_SEPARATED.format(f"{_YEAR}([-_]?){_MONTH}\\2{_DAY}"))
_DAY_FIRST = re.compile(_SEPARATED.format(f"({_DAY})-({_MONTH})-({_YEAR})"))


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file as it was found. ``md5`` is what a manifest says of it; ``part`` its number, -1 if it has none."""

    path: Path
    compression: Compression
    identity: tuple[int, ...]
    md5: str = ""
    part: int = -1

    @property
    def size(self) -> int:
        """Its bytes, packed as it is."""
        return self.identity[2]

    def check_unchanged(self) -> None:
        """BadInput if it is not the file any more that was found."""
        try:
            now = _identity(os.stat(self.path))
        except OSError:
            now = ()
        if now != self.identity:
            raise BadInput("changed while it was read", place=str(self.path), hint="wait until it is written")


@dataclass(frozen=True, slots=True)
class DumpSources:
    """The files of a dump. ``schema`` and ``form`` are an inventory's; ``own`` is a listing that we made."""

    files: tuple[SourceFile, ...]
    taken: Taken
    numbered: bool = False
    schema: str = ""
    form: str = ""
    own: Listing | None = None


def find(options: DumpOptions) -> DumpSources:
    """The files of the dump that a door names."""
    path = options.path
    if path.name == MANIFEST or (path.is_dir() and (path / MANIFEST).exists()):
        return _inventory(path if path.name == MANIFEST else path / MANIFEST, options)
    if path.is_dir() and (path / LISTING).exists():
        return _own(path, options)
    if path.is_dir():
        return _folder(path, options)
    if not path.exists() and (parts := _numbered(path)):
        files = tuple(_file(part, part=number) for number, part in enumerate(parts))
        return DumpSources(files, _taken(options, path.name, files), numbered=True)
    files = (_file(path),)
    return DumpSources(files, _taken(options, path.name, files))


def _identity(facts: os.stat_result) -> tuple[int, ...]:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _file(path: Path, *, md5: str = "", part: int = -1) -> SourceFile:
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            raise BadInput("is no regular file", place=str(path), hint="save the dump to a file first")
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise OperatorError(
            f"the dump cannot be opened: {reason}",
            place=str(path),
            hint="correct the root of the door, or get the dump",
        ) from error
    return SourceFile(path, compression(head), _identity(facts), md5, part)


def _folder(path: Path, options: DumpOptions) -> DumpSources:
    found = sorted(each for each in path.iterdir() if each.name[0] not in "._")
    if not found:
        raise BadInput("has no files in it", place=str(path), hint="correct the root of the door, or get the dump")
    others = [each.name for each in found if not each.is_file()]
    if others:
        raise _several(path, "beside files it has in it", others)
    days = {taken.earliest_ns // _DAY_NS: each.name for each in found if (taken := _in_name(each.name))}
    if len(days) > 1:
        raise _several(path, "holds dumps of several days", [days[day] for day in sorted(days)])
    files = tuple(_file(each) for each in found)
    return DumpSources(files, _taken(options, path.name, files))


def _several(path: Path, problem: str, found: list[str]) -> BadInput:
    shown = ", ".join(ascii(name[:80]) for name in found[:3]) + (
        f" and {len(found) - 3} more" if len(found) > 3 else ""
    )
    return BadInput(f"{problem}: {shown}", place=str(path), hint="name one of them in the root of the door")


def _numbered(path: Path) -> list[Path]:
    """The parts NAME.00000 ... in order; BadInput if one of them is left out."""
    if not path.parent.is_dir():
        return []
    parts: dict[int, Path] = {}
    for each in sorted(path.parent.iterdir()):
        found = _NUMBERED.match(each.name.removeprefix(path.name)) if each.name.startswith(path.name) else None
        if found and parts.setdefault(int(found[1]), each) != each:
            raise BadInput(f"part {found[1]} is there twice, packed and not", place=str(path), hint="remove one")
    lacking = next((number for number in range(len(parts)) if number not in parts), None)
    if lacking is not None:
        raise BadInput(f"part {lacking:05d} is not there", place=str(path), hint=_GET_AGAIN)
    return [parts[number] for number in sorted(parts)]


def _taken(options: DumpOptions, name: str, files: tuple[SourceFile, ...]) -> Taken:
    if options.taken is not None:
        return options.taken
    named = _in_name(name)
    if named is not None:
        return named
    times = [file.identity[3] for file in files]
    return Taken(min(times), max(times), "file time")


def _in_name(name: str) -> Taken | None:
    """The moment or day that a name tells; None if it tells none, or several."""
    minutes = {found[1] for found in _TO_THE_MINUTE.finditer(name)}
    if len(minutes) == 1:
        day, _, minute = minutes.pop().partition("T")
        return dump_options.moment(f"{day}T{minute[:2]}:{minute[3:5]}+00:00", "name")
    days = {re.sub("[-_]", "", found[1]) for found in _TO_THE_DAY.finditer(name)}
    days |= {f"{found[4]}{found[3]}{found[2]}" for found in _DAY_FIRST.finditer(name)}
    try:
        return dump_options.moment(days.pop(), "name") if len(days) == 1 else None
    except BadInput:  # The 30th of February.
        return None


# ---- what we made ourselves ------------------------------------------------------


def _own(path: Path, options: DumpOptions) -> DumpSources:
    try:
        listing = Listing.open(path)
    except RecursionError as error:
        raise BadInput(f"{LISTING} is no JSON of ours", place=str(path), hint=_GET_AGAIN) from error
    summary = listing.summary
    taken = options.taken or Taken(summary.started_us * 1000, summary.ended_us * 1000, "listing")
    return DumpSources(tuple(_file(part) for part in listing.parts(ENTRIES)), taken, own=listing)


# ---- S3 Inventory ----------------------------------------------------------------


def _inventory(path: Path, options: DumpOptions) -> DumpSources:
    manifest = _manifest(path)
    listed = manifest.get("files")
    if not isinstance(listed, list) or not all(isinstance(each, dict) and each.get("key") for each in listed):
        raise BadInput("names no files", place=str(path), hint="is it the manifest of an inventory?")
    files = tuple(_listed_file(path, each, options) for each in listed)
    taken = options.taken or _created(manifest) or _taken(options, path.parent.name, files)
    schema, form = str(manifest.get("fileSchema", "")), str(manifest.get("fileFormat", ""))
    return DumpSources(files, taken, schema=schema, form=form)


def _manifest(path: Path) -> dict[str, Any]:
    file = _file(path)
    if file.size > _MANIFEST_BYTES_MAX:
        raise BadInput("is too long for a manifest", place=str(path))
    content = path.read_bytes()
    beside = path.with_name(MANIFEST_CHECKSUM)
    if beside.exists():
        expected = beside.read_text(errors="replace").strip().lower()
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != expected:
            raise BadInput(f"does not agree with {MANIFEST_CHECKSUM} beside it", place=str(path), hint=_GET_AGAIN)
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"is no JSON: {str(error)[:80]}", place=str(path), hint=_GET_AGAIN) from error
    if not isinstance(manifest, dict):
        raise BadInput("is no JSON object", place=str(path), hint=_GET_AGAIN)
    return manifest


def _listed_file(manifest: Path, entry: dict[str, Any], options: DumpOptions) -> SourceFile:
    key = str(entry["key"])
    path = _inside(manifest, key, options.bucket)
    if path is None:
        raise BadInput(
            f"{key[:80]!r} is not there",
            place=str(manifest),
            hint="put it beside the manifest, or add bucket=, the folder with the copy of the bucket, to the door",
        )
    file = _file(path, md5=str(entry.get("MD5checksum") or "").lower())
    size = _size(entry, manifest)
    if size not in (None, file.size):
        message = f"has {file.size} bytes where the manifest says {size}"
        raise BadInput(message, place=str(path), hint=_GET_AGAIN)
    return file


def _size(entry: dict[str, Any], manifest: Path) -> int | None:
    """What a manifest says of a file's bytes; None if it says nothing."""
    size = entry.get("size")
    if size is None or (isinstance(size, int) and not isinstance(size, bool)):
        return size
    if isinstance(size, str) and re.fullmatch(r"[0-9]{1,18}", size):
        return int(size)
    raise BadInput(f"the size {str(size)[:80]!r} is no whole number of bytes", place=str(manifest), hint=_GET_AGAIN)


def _inside(manifest: Path, key: str, bucket: Path | None) -> Path | None:
    """Where a file of the bucket was put, links resolved: as in the bucket, or beside the manifest, or in ``data``."""
    parts = [part for part in key.split("/") if part]
    if not parts or ".." in parts or "." in parts or "\0" in key:
        return None
    own = manifest.parent
    tried = [(own, own.joinpath(*parts)), (own, own / parts[-1]), (own, own / "data" / parts[-1])]
    if bucket is not None:
        tried.insert(0, (bucket, bucket.joinpath(*parts)))
    for folder, path in tried:
        try:
            if not path.is_file():
                continue
            found = path.resolve()
            if not found.is_relative_to(folder.resolve()):
                raise BadInput(f"{key[:80]!r} leads out of {folder}", place=str(manifest), hint=_GET_AGAIN)
        except (OSError, RuntimeError):  # A name that is too long, links in circles.
            continue
        return found
    return None


def _created(manifest: dict[str, Any]) -> Taken | None:
    created = str(manifest.get("creationTimestamp", ""))
    if not re.fullmatch(r"[0-9]{12,14}", created):
        return None
    # The scan of the bucket began then; how long it took, nobody says. A report comes within two days.
    begin_ns = int(created) * 1_000_000
    return Taken(begin_ns, begin_ns + 2 * 86_400 * dump_options.SECOND_NS, "manifest")

"""The two files that pass between us and a mover that is run for batches: its list, and its report.

The list has a line for each file. As ``jsonl``, an object:

    {"id": 7, "source": PFN, "destination": PFN, "size": 12, "checksum": "adler32:0a0b0c0d",
     "checksums": {"adler32": "0a0b0c0d", "sha256": "..."}, "source_path": PATH, "destination_path": PATH}

As ``tsv``, the columns source, destination, size, checksum and id, with tabs
between them; a backslash, tab, line feed or carriage return in a column is
written ``\\\\``, ``\\t``, ``\\n``, ``\\r``.

In the report the program may write what has become of a file, as soon as it
knows, in a line of JSON:

    {"id": 7, "state": "done"}
    {"id": 8, "state": "retry", "error": "connection lost"}
    {"id": 9, "state": "failed", "error": "permission denied"}
    {"id": 10, "state": "full"}

Rules
  * Both are in UTF-8, and in a folder that only we and the program may enter.
  * A line of the report counts when it has its line feed; the first one of a
    file counts. Lines that make no sense are passed over, as are files that we
    have not asked for: of these the files themselves tell.
  * ``done`` is no proof: what is done is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.operations.engine import Transfer
from holdfast.operations.engines.mover import Ending, Said

REPORT_BYTES_MAX = 64 << 20
"""So much of a report is read at most."""
ERROR_CHARS = 500

_ENDINGS = {"done": Ending.DONE, "retry": Ending.LATER, "failed": Ending.NEVER, "full": Ending.FULL}
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


@dataclass(frozen=True, slots=True)
class FileToMove:
    """One file that is to be moved to ``path`` at its destination; what programs call the two ends of its way."""

    transfer: Transfer
    path: str
    source: str
    destination: str


def checksum_of(checksums: Mapping[str, str]) -> str:
    """The one checksum that most movers know how to use, as ``algorithm:digest``; "" if none is known."""
    for algorithm in ("adler32", "md5", "sha256", "crc32c", "blake3"):
        if algorithm in checksums:
            return f"{algorithm}:{checksums[algorithm]}"
    return ""


def list_text(files: Iterable[FileToMove], form: str) -> str:
    """The list, in one of the two forms."""
    line = _tsv if form == "tsv" else _json
    return "".join(f"{line(wanted)}\n" for wanted in files)


def _tsv(wanted: FileToMove) -> str:
    transfer = wanted.transfer
    columns = (
        wanted.source,
        wanted.destination,
        str(transfer.size),
        checksum_of(transfer.checksums),
        str(transfer.ordinal),
    )
    return "\t".join(column.translate(_ESCAPES) for column in columns)


def _json(wanted: FileToMove) -> str:
    transfer = wanted.transfer
    facts = {
        "id": transfer.ordinal,
        "source": wanted.source,
        "destination": wanted.destination,
        "size": transfer.size,
        "checksum": checksum_of(transfer.checksums),
        "checksums": dict(transfer.checksums),
        "source_path": transfer.source.path,
        "destination_path": wanted.path,
    }
    return json.dumps(facts, ensure_ascii=False)


class MoverReport:
    """The report of one run, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._n_read = 0
        self._rest = b""

    def fresh(self) -> dict[int, Said]:
        """What has come since the last call, by the files' numbers. Reads a file."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._n_read)
                data = stream.read(max(0, REPORT_BYTES_MAX - self._n_read))
        except OSError:
            return {}
        self._n_read += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        found: dict[int, Said] = {}
        for line in lines:
            told = _told(line)
            if told is not None:
                found.setdefault(*told)
        return found


def _told(line: bytes) -> tuple[int, Said] | None:
    try:
        facts: Any = json.loads(line)
        number, state, error = facts["id"], facts["state"], facts.get("error", "")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
    if isinstance(number, bool) or not isinstance(number, int) or state not in _ENDINGS or not isinstance(error, str):
        return None
    return number, Said(_ENDINGS[state], f"the program says: {state}" + (f": {error[:ERROR_CHARS]}" if error else ""))

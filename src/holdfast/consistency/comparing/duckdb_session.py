"""A DuckDB connection with its limits set, not hoped for.

Answers for the engine's settings, for the folder it may spill into and for
translating its failures; what is asked of it belongs to the callers.

Rules
  * Memory, threads and spill folder are always explicit. The default memory
    limit keeps the whole process below a third of what GNU sort takes for the
    same listings.
  * Nothing is downloaded: extensions are neither installed nor loaded by name.
  * The work folder is gone afterwards, also after an error.

OperatorError says that memory or temporary disk space ran out; every other
failure of the engine is left to the caller, who knows what was being read.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from holdfast.config import ConsistencySettings
from holdfast.model.errors import BadInput, OperatorError

MEGABYTE = 1_000_000
_MEMORY_MINIMUM = 60 * MEGABYTE
_SPILLING_THREAD_MINIMUM = 150 * MEGABYTE
_POLL_SECONDS = 0.2
_PERFECT_BITS = 17
"""A direct table instead of a hash table for groups numbered by up to 16 bits (and NULL)."""
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_AMOUNT = re.compile(r"\s*([0-9]{1,12})\s*([a-z]{0,3})\s*\Z")

# DuckDB guesses the size of a text file badly and would build the hash table
# of a semi-join over the whole listing instead of over a few hundred buckets:
# five times the CPU and twice the memory.
_DISABLED_OPTIMIZERS = "join_order,build_side_probe_side"

Progress = Callable[[str, float | None], None]
"""Called with what is being done and, where known, the part that is done (0 to 1)."""


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What the engine may take of the machine.

    ``memory_bytes`` of None follows the number of threads; ``temp_dir`` of
    None is the system's folder for temporary files.
    """

    threads: int
    memory_bytes: int | None = None
    temp_dir: Path | None = None

    @property
    def memory(self) -> int:
        """The memory limit in bytes: 200 MB for two threads, since each needs buffers of its own."""
        return self.memory_bytes or (100 + 50 * self.threads) * MEGABYTE


def engine_limits(
    *, threads: int | None = None, memory: str | None = None, temp_dir: Path | None = None
) -> EngineLimits:
    """Limits from what a user said, each checked; unset means: at most four of the usable cores."""
    if threads is None:
        threads = min(4, len(os.sched_getaffinity(0)))
    if threads < 1:
        raise BadInput(f"{threads} threads cannot do any work", hint="give at least 1")
    if temp_dir is not None and not temp_dir.is_dir():
        raise BadInput("is not a folder", place=str(temp_dir), hint="name an existing folder for temporary files")
    return EngineLimits(threads, None if memory is None else parse_amount(memory), temp_dir)


def limits_of(settings: ConsistencySettings) -> EngineLimits:
    """Those of the configuration."""
    return engine_limits(memory=f"{settings.memory_limit_mb}MB")


def parse_amount(text: str) -> int:
    """Bytes of an amount such as ``300MB`` or ``2GiB``."""
    parts = _AMOUNT.match(text.lower())
    unit = _UNITS.get(parts.group(2)) if parts else None
    if parts is None or unit is None:
        raise BadInput(f"{text!r} is not an amount of memory", hint="write for instance 300MB or 2GiB")
    amount = int(parts.group(1)) * unit
    if amount < _MEMORY_MINIMUM:
        raise BadInput(f"{text!r} is too little memory to work in", hint="give 60MB or more")
    return amount


@contextmanager
def work_folder(limits: EngineLimits) -> Iterator[Path]:
    """A private folder for spilled data and unpacked listings, removed at the end."""
    try:
        folder = tempfile.TemporaryDirectory(
            prefix="holdfast-compare-", dir=limits.temp_dir, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise OperatorError(
            f"no temporary folder can be made: {error.strerror}",
            place=str(limits.temp_dir or tempfile.gettempdir()),
            hint="give --temp-dir a writable folder with free space",
        ) from error
    with folder as name:
        yield Path(name)


@contextmanager
def session(limits: EngineLimits, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to an empty in-memory database; shortages come out as OperatorError."""
    connection = _opened(
        {
            "threads": limits.threads,
            "memory_limit": f"{limits.memory // 1000}KB",
            "temp_directory": str(folder / "spill"),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "disabled_optimizers": _DISABLED_OPTIMIZERS,
        }
    )
    try:
        connection.execute(f"SET enable_progress_bar = false; SET perfect_ht_threshold = {_PERFECT_BITS}")
        yield connection
    except duckdb.Error as error:
        shortage = as_shortage(error, limits, folder)
        if shortage is not None:
            raise shortage from error
        raise
    finally:
        connection.close()


def _opened(settings: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """A database of its own. The simulator has one for all: opening one takes longer than what it asks of it."""
    return duckdb.connect(":memory:", config=settings)


def is_shortage(error: BaseException) -> bool:
    """Whether the engine ran out of memory or disk."""
    # A complaint about a row shows the row, and with it any words: so the kind first.
    full = isinstance(error, duckdb.IOException) and "No space left" in str(error)
    return full or isinstance(error, duckdb.OutOfMemoryException)


def as_shortage(error: duckdb.Error, limits: EngineLimits, folder: Path) -> OperatorError | None:
    """The OperatorError this engine failure stands for, or None if it is about something else."""
    if not is_shortage(error):
        return None
    if isinstance(error, duckdb.IOException) and str(folder) not in str(error):
        return None  # The disk of a file that the caller named: it knows better what to say.
    if isinstance(error, duckdb.IOException) or "max_temp_directory_size" in str(error):
        return OperatorError(
            "the disk for temporary files is full",
            place=str(folder.parent),
            hint="free some space there or give --temp-dir another folder",
        )
    return OperatorError(
        f"the work does not fit into {limits.memory // MEGABYTE} MB of memory",
        hint="raise --memory-limit or lower --threads",
    )


def run(
    connection: duckdb.DuckDBPyConnection, statement: str, *, stage: str = "", progress: Progress | None = None
) -> None:
    """Execute a statement, telling ``progress`` how far it is."""
    if progress is None:
        connection.execute(statement)
        return
    progress(stage, None)
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(_POLL_SECONDS):
            percent = connection.query_progress()
            progress(stage, percent / 100 if percent >= 0 else None)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        connection.execute(statement)
    finally:
        finished.set()
        watcher.join()


def literal(text: str) -> str:
    """``text`` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def spread_memory(connection: duckdb.DuckDBPyConnection, limits: EngineLimits) -> None:
    """Use only as many threads as have memory enough to group and sort what does not fit into it.

    Each then holds tables and buffers that cannot go to disk.
    """
    connection.execute(f"SET threads = {max(1, min(limits.threads, limits.memory // _SPILLING_THREAD_MINIMUM))}")


def reason(error: BaseException) -> str:
    """Why the machine or the engine refused: a few words, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if is_shortage(error) and isinstance(error, duckdb.IOException):
        return "No space left on device"
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].strip().removeprefix("Invalid Input Error: ").removeprefix("IO Error: ").rstrip(".")[:300]

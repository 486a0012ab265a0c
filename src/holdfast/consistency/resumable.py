"""Resumable: how work is done in a folder of its own, so that the next one can go on with what was broken off.

Rules
  * One process at a time works below a folder; Conflict names the one that is at it.
  * A beginning that is noted is there whole, and with it all that was put into
    the folder before.
  * What was cancelled, interrupted, or stopped by the operator's disk or a far
    side may go well the next time; another error would come again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from holdfast.consistency.durable import sync
from holdfast.model.clock import SECOND_US
from holdfast.model.errors import OperatorError, PeerError
from holdfast.storage.listing.folder_lock import FolderLock

LOCK = ".lock"


@contextmanager
def held(folder: Path, *, busy: str) -> Iterator[None]:
    """Make ``folder``, and be the only one who works in it; Conflict that says what is ``busy``, OperatorError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(f"cannot make the folder: {error.strerror}", place=str(folder)) from error
    if not os.access(folder, os.W_OK):
        raise OperatorError("cannot be written", place=str(folder), hint="is it mounted read-only?")
    lock = FolderLock(folder, name=LOCK, busy=busy, hint="wait for it to end")
    try:
        yield
    finally:
        lock.release()


def note(beginning: Mapping[str, object], file: Path) -> None:
    """Write down how work began, as JSON; what belongs to that is in the folder of ``file`` already."""
    part = file.with_name(f"{file.name}.part")
    part.write_text(json.dumps(beginning), encoding="utf-8")
    sync(part)
    sync(file.parent)  # What belongs to the beginning is there whenever the beginning is.
    part.replace(file)
    sync(file.parent)


def is_young(started_us: int, *, now_us: int, most_s: int) -> bool:
    """Whether what began then is not too old to be gone on with."""
    return 0 <= now_us - started_us <= most_s * SECOND_US


def may_pass(error: BaseException) -> bool:
    """Whether work that ended with this may go well the next time."""
    return not isinstance(error, Exception) or isinstance(error, OperatorError | PeerError)

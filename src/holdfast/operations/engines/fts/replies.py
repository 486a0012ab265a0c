"""Replies of FTS3: what it says of its jobs and files, as values. Pure.

Rules
  * What makes no sense is BadReply, never a value.
  * A job that was asked for and is not shown is Hidden, with the HTTP status
    that stands in its place: 404 there is none, 403 it is not ours.
  * States that are not known here are taken for those of files that go on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.model.errors import PeerError

JOB_ENDS = frozenset({"FINISHED", "FINISHEDDIRTY", "FAILED", "CANCELED"})
FINISHED, FAILED, CANCELED = "FINISHED", "FAILED", "CANCELED"
FILE_ENDS = frozenset({FINISHED, FAILED, CANCELED})

FILE_FIELDS = ("file_state", "reason", "dest_surl", "file_metadata")
"""What is asked for of each file."""

NOT_FOUND = 404

_STATUS = re.compile(r"([1-5][0-9]{2})(?: .*)?")


class BadReply(PeerError):
    """The service answered something that makes no sense."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the service takes us for."""

    method: str
    """How we have shown that: ``certificate`` or ``oauth2``."""
    delegation_id: str
    vo_id: str
    """The name space of our jobs."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """How one file of a job is. ``ordinal`` is what we have marked it with, None if that is not there."""

    ordinal: int | None
    state: str
    reason: str
    destination: str

    @property
    def is_over(self) -> bool:
        """Whether nothing happens to it any more."""
        return self.state in FILE_ENDS


@dataclass(frozen=True, slots=True)
class JobReport:
    """How a job is; ``files`` is empty unless they were asked for."""

    id: str
    state: str
    reason: str = ""
    files: tuple[FileReport, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether nothing happens to it any more."""
        return self.state in JOB_ENDS


@dataclass(frozen=True, slots=True)
class Hidden:
    """A job that is not shown to us."""

    id: str
    status: int
    message: str = ""


def identity(document: object) -> Identity:
    """What ``/whoami`` says."""
    match document:
        case {"method": str(method), "delegation_id": str(delegation), "vos_id": [str(vo_id), *_]}:
            return Identity(method, delegation, vo_id)
        case {"method": str()}:
            raise BadReply("the service knows us, but not as a member of a VO")
    raise BadReply("the service does not say who we are")


def job_id(document: object) -> str:
    """The id of the job that was submitted."""
    match document:
        case {"job_id": str(id)}:
            return id
    raise BadReply("the service names no job that was submitted")


def jobs(document: object, ids: Sequence[str]) -> dict[str, JobReport | Hidden]:
    """What stands there of each of these jobs; of a single one it stands there alone."""
    rows = document if isinstance(document, list) else [document]
    found = {each.id: each for each in map(_job, rows)}
    if lacking := [id for id in ids if id not in found]:
        raise BadReply(f"the service says nothing of {len(lacking)} of {len(ids)} jobs that it was asked for")
    return {id: found[id] for id in ids}


def message(body: bytes) -> str:
    """What an error says beside its status, in one line; "" if nothing."""
    try:
        document = json.loads(body)
    except ValueError:
        return ""
    said = document.get("message", document.get("http_message")) if isinstance(document, dict) else None
    return line(said)


def line(text: object) -> str:
    """Somebody else's words as one line that is not too long."""
    return " ".join(text.split())[:500] if isinstance(text, str) else ""


def _job(row: object) -> JobReport | Hidden:
    if not isinstance(row, dict) or not isinstance(row.get("job_id"), str):
        raise BadReply("the service says nothing that could be a job")
    state = row.get("job_state")
    if isinstance(state, str):
        files = row.get("files", [])
        if not isinstance(files, list):
            raise BadReply("the service says nothing that could be the files of a job")
        return JobReport(row["job_id"], state, line(row.get("reason")), tuple(map(_file, files)))
    status = _STATUS.fullmatch(str(row.get("http_status")))
    if status is None:
        raise BadReply("the service shows a job without a state")
    return Hidden(row["job_id"], int(status[1]), line(row.get("http_message")))


def _file(row: object) -> FileReport:
    match row:
        case {"file_state": str(state), "dest_surl": str(destination), **others}:
            return FileReport(_ordinal(others.get("file_metadata")), state, line(others.get("reason")), destination)
    raise BadReply("the service shows a file without a state")


def _ordinal(metadata: object) -> int | None:
    if isinstance(metadata, str):  # Some releases hand on what they keep, which is text.
        try:
            metadata = json.loads(metadata)
        except ValueError:
            return None
    found: Any = metadata.get("ordinal") if isinstance(metadata, Mapping) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None

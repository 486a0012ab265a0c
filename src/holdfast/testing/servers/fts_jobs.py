"""Jobs and files of the FTS3 that tests speak to: what is kept of them, and how it is shown.

Names and states are those of FTS3's own tables, which its REST interface shows.

Rules
  * Each job is a file of JSON in a folder, replaced whole with every change, so
    that a service that is killed knows them when it comes back.
  * A job's state follows from those of its files.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FILE_ACTIVE = ("STAGING", "STARTED", "SUBMITTED", "READY", "ACTIVE", "ARCHIVING", "TOKEN_PREP")
JOB_ACTIVE = ("STAGING", "SUBMITTED", "READY", "ACTIVE", "ARCHIVING")


def now() -> str:
    """The moment as FTS3 shows it: UTC, to the second."""
    return shown(time.time())


def shown(at_s: float) -> str:
    """A moment as FTS3 shows it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_s))


@dataclass
class File:
    """One transfer of a job."""

    file_id: int
    file_index: int
    job_id: str
    source_surl: str
    dest_surl: str
    source_se: str
    dest_se: str
    file_state: str
    checksum: str | None = None
    user_filesize: float = 0.0
    file_metadata: Any = None
    activity: str = "default"
    selection_strategy: str = "auto"
    vo_name: str = ""
    priority: int = 3
    reason: str | None = None
    filesize: int | None = None
    start_time: str | None = None
    finish_time: str | None = None
    staging_start: str | None = None
    staging_finished: str | None = None
    throughput: float | None = None
    tx_duration: float | None = None
    retry: int = 0

    @property
    def is_active(self) -> bool:
        """Whether something may still happen to it."""
        return self.file_state in FILE_ACTIVE

    def end(self, state: str, reason: str | None = None) -> None:
        """It is over."""
        self.file_state, self.reason, self.finish_time = state, reason, now()


@dataclass
class FtsJob:
    """One submission."""

    job_id: str
    user_dn: str
    cred_id: str
    vo_name: str
    source_se: str | None
    dest_se: str | None
    verify_checksum: str
    """b both, s source, t target, n none."""
    overwrite_flag: str | None
    priority: int
    retry: int
    bring_online: int
    copy_pin_lifetime: int
    job_metadata: Any
    job_state: str = "SUBMITTED"
    job_type: str = "N"
    cancel_job: bool = False
    reason: str | None = None
    submit_time: str = field(default_factory=now)
    job_finished: str | None = None
    max_time_in_queue: float | None = None
    submit_host: str = "localhost"
    files: list[File] = field(default_factory=list)

    @property
    def is_active(self) -> bool:
        """Whether it is not over."""
        return self.job_state in JOB_ACTIVE

    def follow(self) -> None:
        """Take the state that follows from those of the files."""
        if not self.is_active:
            return
        states = {file.file_state for file in self.files}
        if states & set(FILE_ACTIVE):
            for state, wins in (("ACTIVE", {"ACTIVE", "READY"}), ("STAGING", {"STAGING", "STARTED"})):
                if states & wins:
                    self.job_state = state
                    return
            self.job_state = "ACTIVE" if states & {"FINISHED", "FAILED"} else "SUBMITTED"
            return
        if len(states) == 1:
            (self.job_state,) = states
        else:
            self.job_state = "FINISHEDDIRTY" if "FINISHED" in states else "FAILED"
        self.job_finished = now()
        if self.job_state in ("FAILED", "FINISHEDDIRTY"):
            self.reason = "One or more files failed. Please have a look at the details for more information"

    def cancel(self) -> None:
        """End it, and all its files that are not over."""
        for file in self.files:
            if file.is_active:
                file.end("CANCELED", "Job canceled by the user")
        self.job_state, self.job_finished, self.cancel_job = "CANCELED", now(), True
        self.reason = "Job canceled by the user"

    def show(self) -> dict[str, Any]:
        """As the interface shows it, without files."""
        return {name: value for name, value in asdict(self).items() if name != "files"}


class FtsJobs:
    """All jobs, kept in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self.all: dict[str, FtsJob] = {}
        for path in sorted(folder.glob("*.json")):
            row = json.loads(path.read_text())
            files = [File(**each) for each in row.pop("files")]
            self.all[row["job_id"]] = FtsJob(**row, files=files)
        self._n_files = max((file.file_id for job in self.all.values() for file in job.files), default=0)

    def new_file_id(self) -> int:
        """One that no other file has."""
        self._n_files += 1
        return self._n_files

    def keep(self, job: FtsJob) -> None:
        """Remember how a job is now."""
        self.all[job.job_id] = job
        path = self._folder / f"{job.job_id}.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(job)))
        os.replace(new, path)

    def forget(self, job_id: str) -> None:
        """As an archive or a cleaning does."""
        self.all.pop(job_id, None)
        (self._folder / f"{job_id}.json").unlink(missing_ok=True)

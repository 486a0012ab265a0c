"""Runner: what the daemons of the tests' FTS3 do with the files of its jobs, one task each.

SUBMITTED, READY, ACTIVE, and an end; or STAGING, STARTED, and then SUBMITTED.
"""

from __future__ import annotations

import asyncio
import time

from holdfast.testing.servers.fts_faults import FtsFaults
from holdfast.testing.servers.fts_jobs import File, FtsJob, FtsJobs, now
from holdfast.testing.servers.fts_mover import CopyFailed, FtsMover

AT_ONCE = 16
STAGED_S = 0.05
"""How long the tape takes."""


class Runner:
    """Runs jobs in the event loop of the service."""

    def __init__(self, jobs: FtsJobs, mover: FtsMover, faults: FtsFaults) -> None:
        self._jobs = jobs
        self._mover = mover
        self._faults = faults
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, job: FtsJob) -> None:
        """Go on with a job that is not over; what was under way when the service died begins anew."""
        for file in job.files:
            if file.is_active:
                file.file_state = "STAGING" if file.file_state in ("STAGING", "STARTED") else "SUBMITTED"
                task = asyncio.create_task(self._run(job, file))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def idle(self) -> None:
        """Wait until nothing is under way; whoever cancels everything before does not wait long."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _run(self, job: FtsJob, file: File) -> None:
        try:
            if file.file_state == "STAGING":
                await self._stage(job, file)
            async with self._slots:
                if file.file_state == "SUBMITTED":
                    await self._copy(job, file)
        except CopyFailed as failed:
            if file.is_active:
                file.end("FAILED", str(failed))
        self._changed(job)

    def _changed(self, job: FtsJob) -> None:
        job.follow()
        if job.job_id in self._jobs.all:
            self._jobs.keep(job)

    async def _stage(self, job: FtsJob, file: File) -> None:
        file.file_state, file.staging_start = "STARTED", now()
        self._changed(job)
        await asyncio.sleep(STAGED_S)
        if file.is_active:
            self._mover.stage(file.source_surl)
            file.file_state, file.staging_finished = "SUBMITTED", now()

    async def _copy(self, job: FtsJob, file: File) -> None:
        if job.max_time_in_queue is not None and time.time() > job.max_time_in_queue:
            file.end("FAILED", "Job has been canceled because it stayed in the queue for too long")
            return
        file.file_state, file.start_time = "ACTIVE", now()
        self._changed(job)
        fault = self._faults.of_file(file.source_surl, file.dest_surl)
        if fault is not None and fault.do in ("stall", "slow"):
            until = time.monotonic() + (fault.seconds if fault.do == "slow" else 1e9)
            while time.monotonic() < until and file.is_active:
                await asyncio.sleep(0.01)
        if fault is not None and fault.do == "fail":
            file.end("FAILED", fault.reason)
        if not file.is_active:
            return
        file.filesize = await asyncio.to_thread(self._mover.copy, job, file, fault, lambda: file.is_active)
        if fault is not None and fault.do == "half":
            file.end("FAILED", fault.reason)
        elif file.is_active:
            file.end("FINISHED")

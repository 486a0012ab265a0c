"""Submission: the job that FTS3 is asked for, as it stands in the request. Pure.

Rules
  * The service makes the job's id of a name that we choose and of the name
    space of our VO, so that the id is known before anything is sent, and the
    same job is never made twice (``Handle``).
  * It never overwrites anything.
  * Each file carries its ordinal, the job the claim, by which they are known
    again.
  * It compares checksums at the ends that tell one both the inventory and they
    know; all files of a job by one algorithm.
  * It does not try again by itself unless it was told to: who tries again, and
    from where, is decided in one place, and that is not there.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.config.engines import FtsSettings
from holdfast.operations.engine import Place, Transfer
from holdfast.operations.engines.proving import CHEAPEST_FIRST
from holdfast.storage.abilities import FarFile

ALGORITHMS = {"adler32": "ADLER32", "crc32c": "CRC32C", "md5": "MD5"}
"""What the service calls the algorithms that it knows."""

_BETWEEN = "/"


@dataclass(frozen=True, slots=True)
class Handle:
    """What is kept of a job: its id at the service, and the name that the id was made of."""

    job_id: str
    name: str

    def __str__(self) -> str:
        return f"{self.job_id}{_BETWEEN}{self.name}"

    @staticmethod
    def new(name: str, vo_id: str) -> Handle:
        """That of a job that is not made yet; ValueError if ``vo_id`` is no name space."""
        return Handle(str(uuid.uuid5(uuid.UUID(vo_id), name)), name)

    @staticmethod
    def parse(text: str) -> Handle:
        """What ``str`` has made of it."""
        job_id, _, name = text.partition(_BETWEEN)
        return Handle(job_id, name)


@dataclass(frozen=True, slots=True)
class FileToBring:
    """A file that the service is to bring."""

    transfer: Transfer
    source: FarFile
    destination: FarFile


def document(
    handle: Handle, files: Sequence[FileToBring], settings: FtsSettings, *, priority: int, bearer: str = ""
) -> dict[str, Any]:
    """The request. ``bearer``: the token that the service is shown, for storages that ask for none of their own."""
    first = files[0].transfer
    algorithm, ends = _checksum([each.transfer for each in files], settings.verify_checksum)
    return {
        "files": [_file(each, algorithm, settings.activity, bearer) for each in files],
        "params": {
            "id_generator": "deterministic",
            "sid": handle.name,
            "job_metadata": {"issuer": "holdfast", "claim": handle.name},
            "verify_checksum": ends,
            "overwrite": False,
            "reuse": False,
            "multihop": False,
            "priority": min(max(priority, 1), 5),
            "retry": settings.retries or -1,  # There 0 means: as often as the service likes.
            **_times(first.source, settings),
        },
    }


def _file(wanted: FileToBring, algorithm: str, activity: str, bearer: str) -> dict[str, Any]:
    transfer = wanted.transfer
    made: dict[str, Any] = {
        "sources": [wanted.source.url],
        "destinations": [wanted.destination.url],
        "filesize": transfer.size,
        "metadata": {"ordinal": transfer.ordinal},
    }
    if algorithm:
        made["checksum"] = f"{ALGORITHMS[algorithm]}:{transfer.checksums[algorithm]}"
    if activity:
        made["activity"] = activity
    tokens = (wanted.source.token or bearer, wanted.destination.token or bearer)
    if bearer and tokens != (bearer, bearer):
        # Where it is shown one token only, it shows that to the storages, too.
        made["source_tokens"], made["destination_tokens"] = [tokens[0]], [tokens[1]]
    return made


def _times(source: Place, settings: FtsSettings) -> dict[str, Any]:
    """How long things may take; the service counts whole numbers as hours, unless a unit stands there."""
    if source.is_tape:
        return {"bring_online": settings.bring_online_s, "copy_pin_lifetime": settings.pin_lifetime_s}
    return {"max_time_in_queue": f"{max(1, round(settings.job_timeout_s))}s"}


def _checksum(transfers: Sequence[Transfer], ends: str) -> tuple[str, str]:
    """The algorithm, and at which ends it is compared; "" and none if no end tells one that all files have."""
    source, destination = transfers[0].source.driver, transfers[0].destination.driver
    best: dict[str, str] = {}
    for algorithm in reversed([each for each in CHEAPEST_FIRST if each in ALGORITHMS]):
        if not all(algorithm in each.checksums for each in transfers):
            continue
        at_source = ends in ("both", "source") and algorithm in source.capabilities.told
        at_destination = ends in ("both", "target") and algorithm in destination.capabilities.told
        reach = {(True, True): "both", (True, False): "source", (False, True): "target"}.get(
            (at_source, at_destination)
        )
        if reach:
            best[reach] = algorithm
    return next(((best[reach], reach) for reach in ("both", "target", "source") if reach in best), ("", "none"))

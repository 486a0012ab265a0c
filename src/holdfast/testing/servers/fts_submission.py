"""How the FTS3 of the tests makes a job of a submission: defaults, checks and refusals of its REST interface."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import ParseResult, urlparse

from holdfast.testing.servers import fts_identity
from holdfast.testing.servers.fts_identity import NotValid, User
from holdfast.testing.servers.fts_jobs import File, FtsJob, FtsJobs

DEFAULTS: Mapping[str, Any] = {
    "bring_online": -1,
    "verify_checksum": False,
    "copy_pin_lifetime": -1,
    "archive_timeout": -1,
    "job_metadata": None,
    "overwrite": False,
    "overwrite_on_retry": False,
    "overwrite_when_only_on_disk": False,
    "overwrite_hop": False,
    "reuse": None,
    "multihop": False,
    "retry": 0,
    "retry_delay": 0,
    "priority": 3,
    "max_time_in_queue": 0,
    "id_generator": "standard",
    "sid": None,
}
METADATA_BYTES_MAX = 1024
_CHECKSUM_ENDS = ("source", "target", "both", "none")


class FtsRefusal(Exception):
    """A submission that is not accepted, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def job_of(document: object, user: User, jobs: FtsJobs) -> FtsJob:
    """The job that a submission asks for; Refusal. Nothing is kept yet."""
    if not isinstance(document, dict):
        raise FtsRefusal(400, "Malformed request: Expecting a dictionary")
    if document.get("delete") is not None:
        raise FtsRefusal(405, "Deletion jobs are no longer supported by FTS")
    if not document.get("files"):
        raise FtsRefusal(400, "No transfers operations specified")
    try:
        params = _params(document.get("params") or {})
        return _job(document["files"], params, user, jobs)
    except KeyError as error:
        raise FtsRefusal(400, f"Missing parameter: {error}") from error
    except (ValueError, NotValid) as error:
        raise FtsRefusal(400, f"Invalid value within the request: {error}") from error
    except (TypeError, AttributeError) as error:
        raise FtsRefusal(400, f"Malformed request: {error}") from error


def _params(given: Mapping[str, Any]) -> dict[str, Any]:
    params = {**DEFAULTS, **given}
    for name, default in DEFAULTS.items():
        if params[name] is None:
            params[name] = default
    metadata = params["job_metadata"]
    if metadata is not None and not isinstance(metadata, dict):
        raise FtsRefusal(400, "Metadata must be a JSON object")
    overwriting = ("overwrite", "overwrite_on_retry", "overwrite_when_only_on_disk", "overwrite_hop")
    if sum(_flag(params[name]) for name in overwriting) > 1:
        raise FtsRefusal(400, "Incompatible overwrite flags used at the same time")
    return params


def _job(rows: Sequence[Mapping[str, Any]], params: Mapping[str, Any], user: User, jobs: FtsJobs) -> FtsJob:
    job_id = _job_id(params, user)
    is_staged = int(params["bring_online"]) > 0 or int(params["copy_pin_lifetime"]) > 0
    if user.method == "oauth2":
        if is_staged or int(params["archive_timeout"]) > 0:
            raise FtsRefusal(400, "Requests to retrieve from tape using token authentication are not supported")
        for row in rows:
            _check_tokens(row)
    in_queue_s = _seconds(params["max_time_in_queue"])
    job = FtsJob(
        job_id=job_id,
        user_dn=user.dn,
        cred_id=user.delegation_id,
        vo_name=user.vo,
        source_se=None,
        dest_se=None,
        verify_checksum=_ends(params["verify_checksum"], rows),
        overwrite_flag="Y" if _flag(params["overwrite"]) else None,
        priority=max(min(int(params["priority"]), 5), 1),
        retry=int(params["retry"]),
        bring_online=int(params["bring_online"]),
        copy_pin_lifetime=int(params["copy_pin_lifetime"]),
        job_metadata={**(params["job_metadata"] or {}), "auth_method": user.method},
        job_type="Y" if _flag(params["reuse"]) else "N",
        max_time_in_queue=None if in_queue_s is None else time.time() + in_queue_s,
    )
    for index, row in enumerate(rows):
        for source, destination in itertools.product(row["sources"], row["destinations"]):
            job.files.append(_file(job, index, row, _url(source), _url(destination), jobs, is_staged=is_staged))
    job.job_state = "STAGING" if is_staged else "SUBMITTED"
    sources, destinations = ({getattr(file, name) for file in job.files} for name in ("source_se", "dest_se"))
    job.source_se = sources.pop() if len(sources) == 1 else None
    job.dest_se = destinations.pop() if len(destinations) == 1 else None
    return job


def _file(
    job: FtsJob,
    index: int,
    row: Mapping[str, Any],
    source: ParseResult,
    destination: ParseResult,
    jobs: FtsJobs,
    *,
    is_staged: bool,
) -> File:
    metadata = row.get("metadata")
    if metadata is not None and len(str(metadata)) > METADATA_BYTES_MAX:
        raise FtsRefusal(400, "File metadata is too large")
    return File(
        file_id=jobs.new_file_id(),
        file_index=index,
        job_id=job.job_id,
        source_surl=source.geturl(),
        dest_surl=destination.geturl(),
        source_se=f"{source.scheme}://{source.hostname}",
        dest_se=f"{destination.scheme}://{destination.hostname}",
        file_state="STAGING" if is_staged else "SUBMITTED",
        checksum=row.get("checksum") or "ADLER32",
        user_filesize=float(row.get("filesize") or 0),
        file_metadata=metadata,
        activity=row.get("activity") or "default",
        vo_name=job.vo_name,
        priority=job.priority,
    )


def _job_id(params: Mapping[str, Any], user: User) -> str:
    if params["id_generator"] != "deterministic":
        return str(uuid.uuid1())
    if params["sid"] is None:
        raise FtsRefusal(400, "Need sid for deterministic job id generation")
    return str(uuid.uuid5(fts_identity.vo_id(user.vo), str(params["sid"])))


def _url(text: str) -> ParseResult:
    url = urlparse(text.strip())
    if not url.scheme:
        raise ValueError(f"Missing scheme ({text})")
    if url.scheme == "file":
        raise ValueError(f"Can not transfer local files ({text})")
    if not url.path or (url.path == "/" and not url.query):
        raise ValueError(f"Missing path ({text})")
    if not url.hostname:
        raise ValueError(f"Missing host ({text})")
    return url


def _ends(given: object, rows: Sequence[Mapping[str, Any]]) -> str:
    """At which ends checksums are compared, as the letter that is kept."""
    if isinstance(given, bool):
        has_value = ":" in (rows[-1].get("checksum") or "")
        return "b" if given else "t" if has_value else "n"
    if given not in _CHECKSUM_ENDS:
        raise ValueError(f"verify_checksum {given!r}")
    return str(given)[0]


def _check_tokens(row: Mapping[str, Any]) -> None:
    sources, destinations = row.get("source_tokens", []), row.get("destination_tokens", [])
    if not sources and not destinations:
        return
    if not (sources and destinations):
        raise FtsRefusal(400, "Both source_tokens and destination_tokens are required if one of them is present.")
    if len(sources) != len(row["sources"]) or len(destinations) != len(row["destinations"]):
        raise FtsRefusal(400, "There should be as many tokens as sources and destinations.")
    for token in (*sources, *destinations):
        claims = fts_identity.claims_of(token)
        for name in ("iss", "exp", "scope", "aud"):
            if name not in claims:
                raise FtsRefusal(400, f"Token does not contain an {name} claim")


def _flag(value: object) -> bool:
    return value[:1].upper() == "Y" if isinstance(value, str) else bool(value)


def _seconds(value: object) -> float | None:
    """Whole numbers are hours; text has a unit."""
    if isinstance(value, int) and value:
        return value * 3600.0
    if isinstance(value, str) and value[:-1].isdigit():
        factor = {"s": 1, "m": 60, "h": 3600}.get(value[-1].lower())
        return None if factor is None else int(value[:-1]) * float(factor)
    return None

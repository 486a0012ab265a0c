"""FTS3's own client from PyPI drives the stand-in, so that it is more than our opinion of FTS3; and finds our jobs."""

from __future__ import annotations

import asyncio
import gc
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fts_world import BERN, OSLO, TAPE, FtsWorld, MemoryDesk, fts_world, job

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real("fts client"),
    # The client leaves the proxy's file open.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtsWorld]:
    with fts_world(tmp_path_factory.mktemp("fts")) as made:
        yield made


@pytest.fixture
def world(running: FtsWorld) -> FtsWorld:
    running.server.reset()
    return running


@pytest.fixture
def fts() -> Any:
    """The client's library; what it warns of is not ours."""
    return pytest.importorskip("fts3.rest.client.easy")


@pytest.fixture
def context(world: FtsWorld, fts: Any) -> Iterator[Any]:
    proxy = str(world.proxy)
    yield fts.Context(world.server.url, ucert=proxy, ukey=proxy, capath=str(world.authority.certs))
    gc.collect()


def transfer(fts: Any, name: str, **values: Any) -> Any:
    return fts.new_transfer(f"{BERN}/{name}", f"{OSLO}/{name}", **values)


def ended(fts: Any, context: Any, id: str) -> Any:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        status = fts.get_job_status(context, id, list_files=True)
        if status["job_state"] in ("FINISHED", "FINISHEDDIRTY", "FAILED", "CANCELED"):
            return status
        time.sleep(0.05)
    raise AssertionError("the job does not end")


def test_it_submits_and_polls(world: FtsWorld, fts: Any, context: Any) -> None:
    world.source("x", b"hello")
    made = fts.new_job(
        [transfer(fts, "x", checksum="ADLER32:062c0215", filesize=5)], verify_checksum="both", metadata={"a": 1}
    )
    status = ended(fts, context, fts.submit(context, made))
    assert status["job_state"] == "FINISHED"
    assert status["job_metadata"]["a"] == 1
    assert status["files"][0]["filesize"] == 5
    assert (world.oslo / "x").read_bytes() == b"hello"


def test_it_sees_why_files_failed(world: FtsWorld, fts: Any, context: Any) -> None:
    for name in ("there", "wrong", "good"):
        world.source(name, b"hello")
    (world.oslo / "there").write_bytes(b"other")
    rows = [
        transfer(fts, "there"),
        transfer(fts, "wrong", checksum="ADLER32:00000001"),
        transfer(fts, "missing"),
        transfer(fts, "good"),
    ]
    status = ended(fts, context, fts.submit(context, fts.new_job(rows, verify_checksum="both")))
    assert status["job_state"] == "FINISHEDDIRTY"
    reasons = [file["reason"] and file["reason"].split("]")[0] for file in status["files"]]
    assert reasons == ["DESTINATION [17", "TRANSFER [5", "SOURCE [2", None]
    assert (world.oslo / "there").read_bytes() == b"other"
    assert not (world.oslo / "wrong").exists()


def test_it_overwrites_where_it_says_so(world: FtsWorld, fts: Any, context: Any) -> None:
    world.source("x", b"hello")
    (world.oslo / "x").write_bytes(b"other")
    assert (
        ended(fts, context, fts.submit(context, fts.new_job([transfer(fts, "x")], overwrite=True)))["job_state"]
        == "FINISHED"
    )
    assert (world.oslo / "x").read_bytes() == b"hello"


def test_it_asks_for_many_at_once_and_is_told_what_is_not_there(world: FtsWorld, fts: Any, context: Any) -> None:
    from fts3.rest.client.exceptions import ClientError, NotFound

    world.source("x", b"1")
    world.source("y", b"2")
    ids = [fts.submit(context, fts.new_job([transfer(fts, name)])) for name in ("x", "y")]
    for id in ids:
        ended(fts, context, id)
    found = fts.get_jobs_statuses(context, ids, list_files=True)
    assert [row["job_id"] for row in found] == ids
    assert [row["files"][0]["file_state"] for row in found] == ["FINISHED", "FINISHED"]
    with pytest.raises(ClientError, match="No job with the id"):
        fts.get_jobs_statuses(context, [*ids, str(uuid.uuid4())])
    with pytest.raises(NotFound):
        fts.get_job_status(context, str(uuid.uuid4()))


def test_it_lists_and_cancels(world: FtsWorld, fts: Any, context: Any) -> None:
    world.server.faults({"do": "stall"})
    world.source("x", b"1")
    id = fts.submit(context, fts.new_job([transfer(fts, "x")]))
    assert [row["job_id"] for row in fts.list_jobs(context)] == [id]
    assert [
        row["job_id"] for row in fts.list_jobs(context, source_se="davs://bern.test", dest_se="davs://oslo.test")
    ] == [id]
    assert fts.list_jobs(context, state_in=["STAGING"]) == []
    assert fts.cancel(context, id)["job_state"] == "CANCELED"
    assert fts.cancel(context, id)["http_status"] == "304 Not Modified"
    assert ended(fts, context, id)["files"][0]["file_state"] == "CANCELED"
    assert fts.list_jobs(context) == []


def test_it_stages_from_tape(world: FtsWorld, fts: Any, context: Any) -> None:
    world.source("x", b"1", site="tape")
    row = fts.new_transfer(f"{TAPE}/x", f"{OSLO}/x")
    assert ended(fts, context, fts.submit(context, fts.new_job([row])))["job_state"] == "FAILED"
    id = fts.submit(context, fts.new_job([row], bring_online=60, copy_pin_lifetime=60))
    assert ended(fts, context, id)["job_state"] == "FINISHED"


def test_a_name_of_ones_own_makes_a_job_once(world: FtsWorld, fts: Any, context: Any) -> None:
    from fts3.rest.client.exceptions import ClientError

    world.source("x", b"1")
    who = fts.whoami(context)
    made = fts.new_job([transfer(fts, "x")], id_generator=fts.JobIdGenerator.deterministic, sid="mine")
    id = fts.submit(context, made)
    assert id == str(uuid.uuid5(uuid.UUID(who["vos_id"][0]), "mine"))
    with pytest.raises(ClientError, match="409"):
        fts.submit(context, made)


def test_it_delegates(world: FtsWorld, fts: Any, context: Any) -> None:
    from fts3.rest.client.exceptions import NeedDelegation
    from fts3.rest.client.submitter import Submitter

    world.source("x", b"1")
    fts.submit(context, fts.new_job([transfer(fts, "x")]))
    world.server.undelegate()
    with pytest.raises(NeedDelegation):
        Submitter(context).submit(transfers=[transfer(fts, "x")])
    assert fts.delegate(context, timedelta(hours=7)) == fts.whoami(context)["delegation_id"]
    Submitter(context).submit(transfers=[transfer(fts, "x")])


@pytest.mark.parametrize(
    "row",
    [
        {"sources": ["file:///x"], "destinations": [f"{OSLO}/x"]},
        {"sources": [f"{BERN}/x"]},
        {"sources": ["davs:///x"], "destinations": [f"{OSLO}/x"]},
    ],
    ids=["local", "nowhere to", "no host"],
)
def test_what_makes_no_sense_is_refused(world: FtsWorld, fts: Any, context: Any, row: dict[str, Any]) -> None:
    from fts3.rest.client.exceptions import ClientError

    with pytest.raises(ClientError, match="Bad request"):
        fts.submit(context, {"files": [row], "params": {}})
    assert world.server.jobs() == []


def test_it_sees_jobs_of_ours_as_its_own(world: FtsWorld, fts: Any, context: Any) -> None:
    async def run() -> None:
        engine = world.engine()
        await engine.carry(job(world.transfers(2)), desk)
        await engine.close()

    desk = MemoryDesk()
    asyncio.run(run())
    status = fts.get_job_status(context, desk.handles[0].split("/")[0], list_files=True)
    assert status["job_state"] == "FINISHED"
    assert status["job_metadata"] == {"issuer": "holdfast", "claim": "c1", "auth_method": "certificate"}
    assert len(status["files"]) == 2

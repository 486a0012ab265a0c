"""Claims: who works on what, and what comes of it. Functions on a connection.

Rules
  * A batch is claimed only as it was seen: if it was cut or moved on meanwhile, whoever asks comes too late.
  * A claim is given to workers only who are not declared dead, for requests that are open, not on hold, not ending.
  * A claim of a request that is ending or closed stands no more: nothing further is begun under it. It may be settled.
  * What is settled under a claim that does not stand any more changes nothing. A worker who was declared dead may
    settle as long as nobody has taken his claims over.
  * When a claim is over whose job at a service may go on, that is to be cancelled (``unwanted``).
  * Bytes are neither lost nor invented: the totals of a request are those of its batches and of what is done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain

from sqlalchemy import Connection

from holdfast.inventory.sql_many import fetched, listed, mark
from holdfast.model.errors import BrokenInvariant
from holdfast.model.fileset import FileSet
from holdfast.operations.batch import Batch, BatchFailure, BatchState, Settled
from holdfast.operations.batches import joining, rows, unwanted
from holdfast.operations.batches.rows import BatchRow

_CLAIMED = ("state", "not_before_us", "held", "since_us", "worker", "claim", "source", "engine", "handle")
_IS_CLAIM = "claim <> '' AND claim = ?"
"""What nobody has claimed is nobody's; and said so, the index serves, which has only what is claimed."""
_CLAIMABLE = (BatchState.QUEUED, BatchState.RETRY)


def claim(
    connection: Connection,
    batch: Batch,
    files: FileSet,
    size: int,
    *,
    worker: str,
    claim: str,
    source: str,
    engine: str,
    now_us: int,
) -> Batch | None:
    """Give some files of a queued batch to a worker; returns them as a batch of their own.

    None: the batch is not there any more as given, its request is closed or on
    hold, or the worker was declared dead.
    """
    row = _claimable(connection, batch, worker)
    if row is None or not files or files - batch.files:
        return None
    is_whole = files == batch.files
    taken = row.having(files, row.size if is_whole else min(size, row.size))._replace(
        state=BatchState.ACTIVE,
        not_before_us=0,
        held="",
        since_us=now_us,
        worker=worker,
        claim=claim,
        source=source,
        engine=engine,
    )
    if is_whole:
        rows.change(connection, [taken], _CLAIMED)
    else:
        rows.change(connection, [row.having(batch.files - files, row.size - taken.size)], rows.CONTENT)
        taken = taken._replace(id=rows.insert_one(connection, taken))
    return rows.batch_of(taken, batch.request)


def claim_whole(
    connection: Connection, wanted: Sequence[tuple[Batch, str, str, str]], *, worker: str, now_us: int
) -> dict[str, Batch]:
    """``claim`` for many, each of a whole batch: batch, claim, source and engine. Returns what was given, by claim.

    No batch is named twice.
    """
    found = {row.id: row for row in _claimable_rows(connection, [batch.id for batch, *_ in wanted], worker)}
    taken: list[BatchRow] = []
    given: dict[str, Batch] = {}
    for batch, claim, source, engine in wanted:
        row = found.get(batch.id)
        if row is None or not _is_as_seen(row, batch):
            continue
        row = row._replace(
            state=BatchState.ACTIVE,
            not_before_us=0,
            held="",
            since_us=now_us,
            worker=worker,
            claim=claim,
            source=source,
            engine=engine,
        )
        taken.append(row)
        given[claim] = rows.batch_of(row, batch.request)
    rows.change(connection, taken, _CLAIMED)
    return given


def _claimable_rows(connection: Connection, ids: Iterable[int], worker: str) -> Iterator[BatchRow]:
    """Of these batches those that a worker may claim, whatever has become of them."""
    for some in listed(ids):
        query = f"""SELECT {rows.BATCH} FROM operations_batch
            JOIN operations_order ON operations_order.number = operations_batch.request
            JOIN operations_worker ON operations_worker.id = ?
            WHERE operations_batch.id IN ({some}) AND NOT operations_worker.is_dead
            AND NOT operations_order.is_closed AND operations_order.on_hold = '' AND operations_order.ending = ''"""
        yield from map(BatchRow._make, fetched(connection, query.replace("?", mark(connection)), (worker,)))


def _is_as_seen(row: BatchRow, batch: Batch) -> bool:
    as_seen = (batch.request.number, batch.block, batch.files.to_bytes(), batch.state)
    return batch.state in _CLAIMABLE and (row.request, row.block, row.files, row.state) == as_seen


def _claimable(connection: Connection, batch: Batch, worker: str) -> BatchRow | None:
    row = next(_claimable_rows(connection, [batch.id], worker), None)
    return row if row is not None and _is_as_seen(row, batch) else None


def keep_handle(connection: Connection, claim: str, handle: str) -> bool:
    """Remember what the engine calls its job; False if the claim does not stand any more."""
    return _update(connection, f"UPDATE operations_batch SET handle = ? WHERE {_IS_CLAIM}", handle, claim)


def adopt(connection: Connection, batch: Batch, *, worker: str, claim: str, now_us: int) -> Batch | None:
    """Take over what a dead worker had claimed as it is, with its job at a service, which goes on.

    None: that claim does not stand any more, or the new worker was declared dead.
    """
    alive = "SELECT 1 FROM operations_worker WHERE id = ? AND NOT is_dead"
    if not fetched(connection, alive.replace("?", mark(connection)), (worker,)):
        return None
    row = _claimed_rows(connection, [batch.claim]).get(batch.claim)
    if row is None:
        return None
    left = rows.left_behind(row)
    taken = row._replace(worker=worker, claim=claim, since_us=now_us, left_behind=left)
    rows.change(connection, [taken], ("worker", "claim", "since_us", "left_behind"))
    return rows.batch_of(taken, batch.request)


def _update(connection: Connection, statement: str, *values: str) -> bool:
    return bool(connection.exec_driver_sql(statement.replace("?", mark(connection)), values).rowcount)


def standing(connection: Connection, claims: Collection[str], worker: str) -> frozenset[str]:
    """Which of some claims may be worked on: of a worker who was not declared dead, for requests that go on."""
    wanted = sorted(set(claims) - {""})
    found: list[tuple[str]] = []
    for start in range(0, len(wanted), rows.INSERT_ROWS):
        some = wanted[start : start + rows.INSERT_ROWS]
        query = f"""SELECT operations_batch.claim FROM operations_batch
            JOIN operations_worker ON operations_worker.id = operations_batch.worker
            JOIN operations_order ON operations_order.number = operations_batch.request
            WHERE NOT operations_order.is_closed AND operations_order.ending = ''
            AND operations_batch.claim <> '' AND operations_batch.claim IN ({",".join("?" * len(some))})
            AND operations_worker.id = ? AND NOT operations_worker.is_dead"""
        found += fetched(connection, query.replace("?", mark(connection)), (*some, worker))
    return frozenset(claim for (claim,) in found)


def is_live_part(connection: Connection, claim: str) -> bool:
    """Whether parts under a claim belong to something that is not over."""
    if not claim:
        return False
    final = ",".join(f"'{state}'" for state in (BatchState.FAILED, BatchState.SKIPPED))
    left = f"left_behind <> '' AND state NOT IN ({final}) AND ' ' || left_behind || ' ' LIKE ?"
    query = f"SELECT 1 FROM operations_batch WHERE {_IS_CLAIM} UNION ALL SELECT 1 FROM operations_batch WHERE {left}"
    return bool(fetched(connection, query.replace("?", mark(connection)), (claim, f"% {claim} %")))


def active(connection: Connection) -> list[Batch]:
    """All that is claimed."""
    found = rows.batches(connection, "state = ?", (BatchState.ACTIVE,))
    return rows.with_requests(connection, sorted(found))


def claimed(connection: Connection, number: int) -> dict[str, FileSet]:
    """The files of a request that somebody works on, by their blocks.

    Of a deletion those count, too, that somebody had begun to work on: they may
    be gone, and only carrying it out tells.
    """
    found: dict[str, FileSet] = {}
    request = rows.numbered(connection, [number]).get(number)
    begun = " OR left_behind <> ''" if request is not None and request.kind.is_deletion else ""
    for row in rows.batches(connection, f"request = ? AND (state = ?{begun})", (number, BatchState.ACTIVE)):
        found[row.block] = found.get(row.block, FileSet()) | row.fileset
    return found


# ---- results --------------------------------------------------------------------


def settle(connection: Connection, settled: Sequence[Settled], *, now_us: int) -> frozenset[str]:
    """Write down what became of many claims, each named once; returns the claims that stood. The others change nothing.

    BrokenInvariant if a file is in two of the outcomes of one claim.
    """
    there = _claimed_rows(connection, [each.claim for each in settled])
    standing = [(each, there[each.claim]) for each in settled if each.claim in there]
    standing = [(each, row) for each, row in standing if not _named(each) - row.fileset]
    new: list[BatchRow] = []
    kept: list[BatchRow] = []
    totals: dict[int, dict[str, int]] = {}
    for each, row in standing:
        rest = _rest(row, each)
        if rest.n_files and not each.gives_back:
            kept.append(rest)
        elif rest.n_files:
            new.append(_given_back(rest, now_us=now_us))
        failed = [_failed(row, one, now_us=now_us) for one in each.failures]
        new += failed
        _count(totals.setdefault(row.request, {}), row, each, [rest, *failed])
    still = {row.id for row in kept}
    over = [row for each, row in standing if row.id not in still and not each.is_job_over]
    unwanted.note(connection, over, now_us=now_us)
    rows.remove(connection, [row.id for _, row in standing if row.id not in still])
    rows.change(connection, kept, rows.CONTENT)
    joining.put(connection, new)
    rows.add_totals(connection, totals)
    return frozenset(each.claim for each, _ in standing)


def finish(connection: Connection, claim: str, done: FileSet, size: int, n_found: int) -> bool:
    """Files of a claim are brought, or gone: they leave the queue. False, and nothing changed: not ours any more."""
    return bool(settle(connection, [Settled(claim, done, size, n_found)], now_us=0))


def fail(connection: Connection, claim: str, failures: Sequence[BatchFailure], *, now_us: int) -> bool:
    """Files of a claim have failed, or are given back. False, and nothing changed: not our claim any more."""
    return bool(settle(connection, [Settled(claim, failures=tuple(failures))], now_us=now_us))


def release(connection: Connection, claim: str, *, now_us: int) -> bool:
    """Give back, untried, what is left of a claim. False, and nothing changed: not our claim any more."""
    return bool(settle(connection, [Settled(claim, gives_back=True)], now_us=now_us))


def _claimed_rows(connection: Connection, claims: Sequence[str]) -> dict[str, BatchRow]:
    if len(set(claims)) < len(claims):
        raise BrokenInvariant("a claim is settled twice at once")
    chunks = (claims[start : start + rows.INSERT_ROWS] for start in range(0, len(claims), rows.INSERT_ROWS))
    found = (
        rows.batches(connection, f"claim <> '' AND claim IN ({','.join('?' * len(some))})", tuple(some))
        for some in chunks
    )
    return {row.claim: row for row in chain.from_iterable(found)}


def _named(settled: Settled) -> FileSet:
    """The files that an outcome is told of."""
    files, n_files = settled.done, len(settled.done)
    for failure in settled.failures:
        files, n_files = files | failure.files, n_files + len(failure.files)
    if len(files) != n_files:
        raise BrokenInvariant(f"a file of the claim {settled.claim} has two outcomes")
    return files


def _rest(row: BatchRow, settled: Settled) -> BatchRow:
    """What nothing is told of, still claimed."""
    files = row.fileset - _named(settled)
    size = row.size - settled.size - sum(failure.size for failure in settled.failures)
    return row.having(files, max(0, size) if files else 0)


def _given_back(row: BatchRow, *, now_us: int) -> BatchRow:
    left = rows.left_behind(row)
    return _unclaimed(row, now_us)._replace(state=BatchState.QUEUED, left_behind=left)


def _unclaimed(row: BatchRow, now_us: int) -> BatchRow:
    return row._replace(id=0, since_us=now_us, worker="", claim="", source="", engine="", handle="")


def _failed(row: BatchRow, failure: BatchFailure, *, now_us: int) -> BatchRow:
    left = " ".join(failure.left) if failure.left is not None else rows.left_behind(row)
    return _unclaimed(row.having(failure.files, failure.size), now_us)._replace(
        state=failure.state,
        attempts=failure.attempts,
        not_before_us=failure.not_before_us,
        held=failure.held,
        code=failure.code or "",
        error=rows.words(failure.error),
        left_behind=left,
        bad_sources=" ".join(sorted(set(failure.bad_sources))),
    )


def _count(totals: dict[str, int], row: BatchRow, settled: Settled, after: Iterable[BatchRow]) -> None:
    # Sizes may have been told from nearer by; the request's size follows.
    size = settled.size + sum(each.size for each in after) - row.size
    done = {"n_done": len(settled.done), "size_done": settled.size, "n_found": settled.n_found, "size": size}
    for name, amount in done.items():
        totals[name] = totals.get(name, 0) + amount

"""The room's own tables, kept beside the inventory: requests that are worked on, batches, jobs, workers, links.

Everything here is passing state. It could be lost without a word of the
inventory becoming untrue: open requests would be planned anew, and files that
are already in place would be found there.

Rules
  * ``number`` orders requests by the moment they were first seen.
  * A claim is written before the parts that it names, and no two batches have the same one.
  * The numbers of batches that are gone may be given again: what is said of a batch names more of it than that.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

from holdfast.inventory.schema import Number
from holdfast.model.records import PRIORITY_USUAL
from holdfast.operations.batch import BatchState

metadata = MetaData()

request = Table(
    "operations_order",
    metadata,
    Column("number", Number, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("kind", String(8), nullable=False),
    Column("dataset_name", Text),
    Column("dataset_version", Text),
    Column("site", Text, nullable=False),
    Column("owner", Text, nullable=False, default=""),
    Column("priority", Integer, nullable=False, default=PRIORITY_USUAL),
    Column("deadline_us", BigInteger),
    Column("created_us", BigInteger, nullable=False, default=0),
    Column("plan", Integer, nullable=False, default=0),
    Column("planned_to", Text, nullable=False, default=""),
    Column("is_planned", Boolean, nullable=False, default=False),
    Column("n_files", BigInteger, nullable=False, default=0),
    Column("size", BigInteger, nullable=False, default=0),
    Column("n_done", BigInteger, nullable=False, default=0),
    Column("size_done", BigInteger, nullable=False, default=0),
    Column("n_found", BigInteger, nullable=False, default=0),
    Column("on_hold", Text, nullable=False, default=""),
    Column("is_closed", Boolean, nullable=False, default=False),
    Column("is_replacing", Boolean, nullable=False, default=False),
    Column("ending", Text, nullable=False, default=""),
)

_OPEN = text("NOT is_closed")
Index("operations_order_open", request.c.number, sqlite_where=_OPEN, postgresql_where=_OPEN)

batch = Table(
    "operations_batch",
    metadata,
    Column("id", Number, primary_key=True),
    Column("request", BigInteger, nullable=False),
    Column("block", Text, nullable=False),
    Column("files", LargeBinary, nullable=False),
    Column("n_files", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("state", String(8), nullable=False, default=BatchState.QUEUED),
    Column("attempts", Integer, nullable=False, default=0),
    Column("not_before_us", BigInteger, nullable=False, default=0),
    Column("held", String(20), nullable=False, default=""),
    Column("code", String(32), nullable=False, default=""),
    Column("error", Text, nullable=False, default=""),
    Column("since_us", BigInteger, nullable=False, default=0),
    Column("worker", String(64), nullable=False, default=""),
    Column("claim", String(64), nullable=False, default=""),
    Column("source", Text, nullable=False, default=""),
    Column("engine", Text, nullable=False, default=""),
    Column("handle", Text, nullable=False, default=""),
    Column("left_behind", Text, nullable=False, default=""),
    Column("bad_sources", Text, nullable=False, default=""),
)

# Of one request, what stands where: counting, joining, withdrawing.
Index("operations_batch_of_request", batch.c.request, batch.c.state, batch.c.block)
# What is due first; what is held; what is under way.
Index("operations_batch_by_state", batch.c.state, batch.c.not_before_us)
_CLAIMED = batch.c.claim != ""
Index("operations_batch_claim", batch.c.claim, unique=True, sqlite_where=_CLAIMED, postgresql_where=_CLAIMED)
_WORKED = batch.c.worker != ""
Index("operations_batch_worker", batch.c.worker, sqlite_where=_WORKED, postgresql_where=_WORKED)
_LEFT = batch.c.left_behind != ""
Index("operations_batch_left", batch.c.id, sqlite_where=_LEFT, postgresql_where=_LEFT)

unwanted = Table(
    "operations_unwanted_job",
    metadata,
    Column("claim", String(64), primary_key=True),
    Column("engine", Text, nullable=False),
    Column("handle", Text, nullable=False),
    Column("since_us", BigInteger, nullable=False),
)

worker = Table(
    "operations_worker",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("lease_s", Double, nullable=False),
    Column("beat", BigInteger, nullable=False, default=0),
    Column("is_dead", Boolean, nullable=False, default=False),
    Column("seen_us", BigInteger, nullable=False, default=0),
)

link = Table(
    "operations_link",
    metadata,
    Column("source", Text, primary_key=True),
    Column("destination", Text, primary_key=True),
    Column("rate_bytes_s", Double),
    Column("n_done", BigInteger, nullable=False, default=0),
    Column("size_done", BigInteger, nullable=False, default=0),
    Column("n_failed_row", Integer, nullable=False, default=0),
    Column("n_failed", BigInteger, nullable=False, default=0),
    Column("last_error", Text, nullable=False, default=""),
    Column("last_code", String(32), nullable=False, default=""),
    Column("last_failure_us", BigInteger),
    Column("last_success_us", BigInteger),
)

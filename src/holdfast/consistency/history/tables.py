"""The room's own tables, kept beside the inventory: sites, what people said of them, runs, and what was done.

Rules
  * A site without a row is ready, in the mode of the configuration.
  * ``mode`` is "" where nobody has said one.
  * A run without a ``state`` has not told how it ended: it is running, or was killed.
  * ``report`` is the run's report as JSON, without what grows with the site.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, MetaData, String, Table, Text

from holdfast.inventory.schema import Number

metadata = MetaData()

site = Table(
    "consistency_site",
    metadata,
    Column("site", Text, primary_key=True),
    Column("state", String(10), nullable=False, default="ready"),
    Column("state_by", Text, nullable=False, default=""),
    Column("state_us", BigInteger),
    Column("state_reason", Text, nullable=False, default=""),
    Column("mode", String(10), nullable=False, default=""),
    Column("mode_by", Text, nullable=False, default=""),
    Column("mode_us", BigInteger),
    Column("mode_reason", Text, nullable=False, default=""),
)

word = Table(
    "consistency_word",
    metadata,
    Column("number", Number, primary_key=True),
    Column("site", Text, nullable=False, index=True),
    Column("said", String(10), nullable=False),
    Column("actor", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)
"""Every word that was said of a site: a state or a mode."""

run = Table(
    "consistency_run",
    metadata,
    Column("run", Text, primary_key=True),
    Column("site", Text, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("folder", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("state", String(12), nullable=False, default=""),
    Column("ended_us", BigInteger),
    Column("reason", Text, nullable=False, default=""),
    Column("report", Text, nullable=False, default=""),
)

Index("consistency_run_of_site", run.c.site, run.c.started_us)

action = Table(
    "consistency_action",
    metadata,
    Column("run", Text, primary_key=True),
    Column("request", Text, primary_key=True),
    Column("class", String(20), primary_key=True),
    Column("n_files", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("at_us", BigInteger, nullable=False),
)
"""What was asked for because of a run: files of one class in one request."""

deed = Table(
    "consistency_deed",
    metadata,
    Column("number", Number, primary_key=True),
    Column("site", Text, nullable=False),
    Column("class", String(20), nullable=False),
    Column("path", Text, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("request", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
)
"""What was asked for, or said, about each path."""

# The path first: by the site alone nobody looks, and a server that has no figures of the table yet might.
Index("consistency_deed_of_path", deed.c.path, deed.c.site)
# What is old goes.
Index("consistency_deed_at", deed.c.at_us)

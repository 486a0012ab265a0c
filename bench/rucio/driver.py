"""Drives Rucio's core directly; run by the environment that Rucio is installed in, and knows nothing of Holdfast.

    python driver.py TASK.json RESULT.json        with RUCIO_CONFIG in the environment

The task says how many files, the size of a chunk, which files the single
look-ups are for, and which process's CPU to count with ours. One client, one transaction a chunk. The result
has rates in files (or LFNs) per second of wall time and of CPU.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from rucio.common.cache import ENABLE_CACHING  # type: ignore[import-not-found]
from rucio.common.types import InternalAccount, InternalScope  # type: ignore[import-not-found]
from rucio.core import account_limit, did, distance, replica, rse, scope  # type: ignore[import-not-found]
from rucio.core.replica_sorter import sort_replicas  # type: ignore[import-not-found]
from rucio.db.sqla.constants import DatabaseOperationType, DIDType  # type: ignore[import-not-found]
from rucio.db.sqla.session import db_session, get_engine  # type: ignore[import-not-found]
from rucio.db.sqla.util import build_database, create_base_vo, create_root_account  # type: ignore[import-not-found]
from sqlalchemy import text

sys.path.insert(1, str(Path(__file__).parents[1]))
from process_usage import tree_cpu_s  # type: ignore[import-not-found]

N_SITES = 3
LOOK_UP_LFNS = 1000
DATASET_FILES = 1000
WARM_UP_FILES = 500
SCOPE = "bench"
WRITE, READ = DatabaseOperationType.WRITE, DatabaseOperationType.READ

Rates = dict[str, dict[str, float]]


class Bench:
    """One database, and what was measured on it."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.task = task
        self.account = InternalAccount("root")
        self.scope = InternalScope(SCOPE)
        self.sites: list[str] = []
        self.rates: Rates = {}
        self.files = [
            {"scope": self.scope, "name": lfn, "bytes": size, "adler32": adler32}
            for lfn, size, adler32 in json.loads(Path(task["files"]).read_text())
        ]

    @contextmanager
    def measured(self, name: str, n: int) -> Iterator[None]:
        """Measure what is done within, for ``n`` files."""
        server = self.task["server_pid"]
        cpu, wall = time.process_time(), time.perf_counter()
        server_cpu = tree_cpu_s(server) if server else 0.0
        yield
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        server_cpu = tree_cpu_s(server) - server_cpu if server else 0.0
        total = max(cpu + server_cpu, 1e-9)
        self.rates[name] = {
            "n": n,
            "per_wall_s": n / wall,
            "per_cpu_s": n / total,
            "cpu_s": cpu,
            "server_cpu_s": server_cpu,
        }
        print(f"    rucio {name}: {n / wall:,.0f}/s, {n / total:,.0f}/CPU s", file=sys.stderr, flush=True)

    def prepare(self) -> None:
        """Empty tables, and the sites as an operator would set them up for speed."""
        build_database()
        create_base_vo()
        create_root_account()
        with db_session(WRITE) as session:
            scope.add_scope(self.scope, self.account, session=session)
            self.sites = [self._site(number, session) for number in range(N_SITES)]
            for one in self.sites:
                for other in self.sites:
                    if one != other:
                        distance.add_distance(one, other, distance=1, session=session)

    def _site(self, number: int, session: Any) -> str:
        site: str = rse.add_rse(f"SITE{number}", deterministic=True, session=session)
        # The least work for Rucio: the path is the name, no hash.
        rse.add_rse_attribute(site, "lfn2pfn_algorithm", "identity", session=session)
        domain = {"read": 1, "write": 1, "delete": 1}
        protocol = {
            "scheme": "davs",
            "hostname": f"site{number}.example.org",
            "port": 2880,
            "prefix": f"/pool{number}",
            "impl": "rucio.rse.protocols.gfal.Default",
            "domains": {
                "lan": dict(domain),
                "wan": {**domain, "third_party_copy_read": 1, "third_party_copy_write": 1},
            },
        }
        rse.add_protocol(site, protocol, session=session)
        account_limit.set_local_account_limit(self.account, site, sys.maxsize // 2, session=session)
        return site

    def register(self, name: str, chunk: int, files: Sequence[dict[str, Any]]) -> None:
        """New files with a replica, attached to datasets of at most a thousand, in one call a chunk."""
        with self.measured(name, len(files)):
            for number, part in enumerate(_parts(files, chunk)):
                dataset = f"{name.replace(' ', '.')}.{number * chunk // DATASET_FILES}"
                with db_session(WRITE) as session:
                    if number * chunk % DATASET_FILES == 0:
                        did.add_did(self.scope, dataset, DIDType.DATASET, self.account, session=session)
                    did.attach_dids(self.scope, dataset, part, self.account, rse_id=self.sites[0], session=session)
        self.settle()

    def copy_to(self, number: int, chunk: int, files: Sequence[dict[str, Any]]) -> None:
        """Replicas of known files at one more site."""
        with self.measured(f"further replica {number} {chunk}", len(files)):
            for part in _parts(files, chunk):
                with db_session(WRITE) as session:
                    replica.add_replicas(self.sites[number], part, self.account, session=session)
        self.settle()

    def look_up(self, n_copies: int, *, pfns: bool = True) -> None:
        """The replicas of a thousand LFNs in one call, three times; the best counts."""
        lfns = [{"scope": self.scope, "name": file["name"]} for file in self.files[:LOOK_UP_LFNS]]
        best: dict[str, float] = {}
        name = f"list {n_copies}{'' if pfns else ' without PFNs'}"
        for _ in range(3):
            with self.measured(name, len(lfns)), db_session(READ) as session:
                found = self._listed(lfns, session, pfns=pfns)
            if len(found) != len(lfns) or (pfns and any(len(each["pfns"]) != n_copies for each in found)):
                raise AssertionError(f"{len(found)} files listed, not all with {n_copies} replicas")
            if not best or self.rates[name]["per_cpu_s"] > best["per_cpu_s"]:
                best = self.rates[name]
        self.rates[name] = best

    def _listed(self, lfns: list[dict[str, Any]], session: Any, *, pfns: bool) -> list[dict[str, Any]]:
        found = list(replica.list_replicas(lfns, pfns=pfns, session=session))
        if pfns:  # As its own interface does for whoever asks for no order.
            for each in found:
                each["order"] = sort_replicas(each["pfns"], {}, selection="random")
        return found

    def look_up_single(self, n: int) -> None:
        """One LFN a call, a transaction each."""
        chance = random.Random(1)
        wanted = chance.sample(self.files, min(n, len(self.files)))

        def listed(file: dict[str, Any], session: Any) -> None:
            self._listed([{"scope": self.scope, "name": file["name"]}], session, pfns=True)

        def known(file: dict[str, Any], session: Any) -> None:
            did.get_did(self.scope, file["name"], session=session)

        calls: dict[str, Callable[[dict[str, Any], Any], None]] = {"list single": listed, "get_did single": known}
        for name, call in calls.items():
            with self.measured(name, len(wanted)):
                for file in wanted:
                    with db_session(READ) as session:
                        call(file, session)

    def check(self, n_replicas: int) -> None:
        """AssertionError unless that many replicas are in the database."""
        with get_engine().connect() as connection:
            found = connection.execute(text("SELECT count(*) FROM replicas")).scalar()
        if found != n_replicas:
            raise AssertionError(f"{found} replicas were made, not {n_replicas}")

    def settle(self) -> None:
        """What a database does in idle hours."""
        with get_engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE" if connection.dialect.name == "postgresql" else "ANALYZE"))


def _parts(files: Sequence[dict[str, Any]], chunk: int) -> Iterator[list[dict[str, Any]]]:
    rest = iter(files)
    while part := list(islice(rest, chunk)):
        yield part


def main(task_file: str, result_file: str) -> None:
    """Do what the task says."""
    task = json.loads(Path(task_file).read_text())
    bench = Bench(task)
    bench.prepare()
    chunks: list[int] = task["chunks"]
    bench.register("warm-up", min(chunks), bench.files[-WARM_UP_FILES:])
    each = (len(bench.files) - WARM_UP_FILES) // len(chunks)
    for number, chunk in enumerate(chunks):
        bench.register(f"register {chunk}", chunk, bench.files[number * each : (number + 1) * each])
    bench.look_up(1)
    bench.look_up_single(task["singles"])
    for number in (1, 2):
        bench.copy_to(number, max(chunks), bench.files[:each])
    bench.look_up(N_SITES)
    bench.look_up(N_SITES, pfns=False)
    bench.check(WARM_UP_FILES + each * (len(chunks) + N_SITES - 1))
    result = {"rates": bench.rates, "cache": bool(ENABLE_CACHING), "database": get_engine().dialect.name}
    Path(result_file).write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    # Files it makes are for whoever started it, wherever that is.
    os.umask(0o022)
    main(*sys.argv[1:3])

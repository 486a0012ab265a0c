"""Images: whether the servers' images say what the tables say, at the position where the day has ended.

All datasets with blocks, files and replicas are compared by digests, some
hundred datasets at a time; the sums by site, group and status as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from holdfast.inventory.sql_store import SqlStore
from holdfast.model.names import DatasetKey
from holdfast.testing.inventory_server import digest_of_datasets
from holdfast.testing.server_process import ServerProcess

DATASETS_AT_ONCE = 200
TIMEOUT_S = 900.0


def differences(store: SqlStore, servers: list[ServerProcess], update: Callable[[int], object]) -> list[str]:
    """What a server says otherwise than the tables, a sentence each; ``update`` hears of datasets."""
    with store.snapshot() as view, ThreadPoolExecutor(len(servers)) as pool:
        head = view.head
        sums = [[each.site, each.group, each.n_replicas, each.n_files, each.size] for each in view.sums()]
        keys = sorted(dataset.key for dataset in view.datasets(staged=True))

        def ask(server: ServerProcess, **what: object) -> dict[str, object]:
            answer = server.read(head, timeout_s=TIMEOUT_S, **what)
            if answer["head"] != head:
                raise RuntimeError(f"a server answers at {answer['head'].position}, the tables are at {head.position}")
            return answer

        found = []
        for number, server in enumerate(servers, 1):
            if sorted(map(tuple, ask(server, sums=True)["sums"])) != sorted(map(tuple, sums)):  # type: ignore[call-overload]
                found.append(f"server {number} has other sums than the tables")
        for some in _pieces(keys):
            names = [[key.name, key.version] for key in some]
            asked = [pool.submit(ask, server, digest_of=names) for server in servers]
            digest = digest_of_datasets(view, some)
            for number, answer in enumerate(asked, 1):
                if answer.result()["digest_of"] != digest:
                    found.append(f"server {number} says something else of the datasets {some[0]} to {some[-1]}")
            update(len(some))
    return found


def _pieces(keys: list[DatasetKey]) -> Iterator[list[DatasetKey]]:
    return (keys[start : start + DATASETS_AT_ONCE] for start in range(0, len(keys), DATASETS_AT_ONCE))

"""One server of the inventory as a process, for tests that run several and kill them.

    python -m holdfast.testing.inventory_server PLACE [--publish FOLDER]
    python -m holdfast.testing.inventory_server --mapped FOLDER

The first has a store and an image kept up with it; the second reads the image
that another one publishes. Requests are JSON objects, one a line, on standard
input, answers the same on standard output; ``ServerProcess`` is the other end.
The first line says ``ready``.

Rules
  * Each request is answered by a thread of its own, in any order, under the id
    that it came with; so commits that come at once are folded.
  * ``then_die`` in a request to commit: the process kills itself when the commit stands, and before it says so.
  * An error is an answer: its class, message, place and hint.
  * The process ends when its standard input does; so it never outlives its test.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TextIO

from holdfast import logs
from holdfast.inventory import journal
from holdfast.inventory.image import file_table, sql_load, tables
from holdfast.inventory.image.image import Image
from holdfast.inventory.image.published import PublishedImage
from holdfast.inventory.keeper import Keeper
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Head, Snapshot, Store
from holdfast.model.changes import ChangeSet
from holdfast.model.errors import BadInput, HoldfastError
from holdfast.model.names import DatasetKey
from holdfast.testing.snapshots import described

SMALL = tables.TableSizes(2, 2, file_table.FileTableSizes(chunk=64, partition=64, fold_at_once=4, merge_from=16))
"""Pieces so small that a few hundred files pass every kind of merging."""
DIGESTS = frozenset({"adler32"})
"""Of checksums those that images keep."""

Request = Mapping[str, Any]
Answer = dict[str, Any]


class Role(Protocol):
    """What a process answers with."""

    def answer(self, request: Request) -> Answer:
        """The answer to one request; called by many threads at once."""


class Server:
    """A store, and an image kept up with it."""

    def __init__(self, store: Store, keeper: Keeper) -> None:
        self._store = store
        self._keeper = keeper
        self._readings = Readings()

    def answer(self, request: Request) -> Answer:
        """Carry out one request."""
        match request["do"]:
            case "commit":
                body = json.dumps(request["changes"]).encode()
                change_set = ChangeSet(journal.decode(body, position=0), request["actor"], request["cause"])
                head = self._store.commit(change_set)
                if request.get("then_die"):
                    os.kill(os.getpid(), signal.SIGKILL)
                return {"head": row_of(head)}
            case "read":
                return self._readings.read(partial(self._snapshot, request), request)
            case "status":
                status = self._keeper.status()
                told = {"age_s": status.age_s, "problem": status.problem, "publishing": status.publishing_problem}
                return {"head": row_of(status.head), **told}
            case "wait":
                return {"is_beyond": self._store.wait(request["after"], request["timeout_s"])}
        raise BadInput(f"there is no request {request['do']!r}")

    def _snapshot(self, request: Request) -> Snapshot:
        least = request.get("at_least", 0)
        return self._keeper.snapshot(
            least if isinstance(least, int) else Head(*least),
            timeout_s=request.get("timeout_s", 0.0),
            age_s_max=request.get("age_s_max"),
        )


class Mapper:
    """The image that a server publishes, mapped."""

    def __init__(self, folder: Path) -> None:
        self._image = PublishedImage(folder)
        self._readings = Readings()

    def answer(self, request: Request) -> Answer:
        """Carry out one request: there is nothing but reading."""
        if request["do"] != "read":
            raise BadInput(f"there is no request {request['do']!r} to a published image")
        return self._readings.read(self._image.snapshot, request)


class Readings:
    """Answers from snapshots, and snapshots that are held for later."""

    def __init__(self) -> None:
        self._held: dict[str, Snapshot] = {}

    def read(self, newest: Callable[[], Snapshot], request: Request) -> Answer:
        """What is asked of the newest snapshot, or of the one that was held under a name."""
        snapshot = self._held[request["held"]] if "held" in request else newest()
        if "hold" in request:
            self._held[request["hold"]] = snapshot
        answer: Answer = {"head": row_of(snapshot.head)}
        if request.get("groups"):
            answer["groups"] = snapshot.groups()
        if "lookup" in request:
            found = snapshot.lookup(request["lookup"])
            answer["lookup"] = [each and [str(each.block), each.ordinal, each.size] for each in found]
        if "datasets" in request:
            answer["datasets"] = {name: _dataset(snapshot, DatasetKey(name)) for name in request["datasets"]}
        if request.get("sums"):
            answer["sums"] = [
                [each.site, each.group, each.n_replicas, each.n_files, each.size] for each in snapshot.sums()
            ]
        if request.get("digest"):
            answer["digest"] = digest_of(snapshot)
        if "digest_of" in request:
            answer["digest_of"] = digest_of_datasets(snapshot, [DatasetKey(*each) for each in request["digest_of"]])
        return answer


def _dataset(snapshot: Snapshot, key: DatasetKey) -> Answer:
    blocks = [[block.key.block, block.n_files, block.size] for block in snapshot.blocks(key)]
    return {"metadata": dict(snapshot.dataset(key).metadata), "blocks": blocks}


def row_of(head: Head) -> list[str | int]:
    """A head as JSON has it; Head(*row) is the way back."""
    return [head.epoch, head.position, head.digest, head.at_us]


def digest_of(snapshot: Snapshot) -> str:
    """A digest of all that a snapshot says: equal in every process and form that says the same."""
    return hashlib.sha256(_ordered(described(snapshot, DIGESTS)).encode()).hexdigest()


def digest_of_datasets(snapshot: Snapshot, datasets: Sequence[DatasetKey]) -> str:
    """A digest of what a snapshot says of some datasets, their blocks, files and replicas; in little memory."""
    digest = hashlib.sha256()
    for key in datasets:
        blocks = snapshot.blocks(key)
        files = snapshot.find_files([block.key for block in blocks])
        shown = [files[block.key].with_digests(DIGESTS) for block in blocks]
        replicas = sorted(snapshot.replicas(dataset=key), key=lambda each: (each.block, each.site))
        digest.update(repr((snapshot.dataset(key), blocks, shown, replicas)).encode())
    return digest.hexdigest()


def _ordered(value: object) -> str:
    """A value as text, whatever the order in which its sets and mappings came about."""
    match value:
        case Mapping():
            return "{" + ",".join(sorted(f"{_ordered(key)}:{_ordered(each)}" for key, each in value.items())) + "}"
        case set() | frozenset():
            return "{" + ",".join(sorted(map(_ordered, value))) + "}"
        case list() | tuple():
            return "[" + ",".join(map(_ordered, value)) + "]"
    fields = getattr(value, "__dataclass_fields__", None)
    if fields is None:
        return repr(value)
    return type(value).__name__ + _ordered([getattr(value, name) for name in fields])


def _load(store: Store, *, sizes: tables.TableSizes | None) -> Image:
    assert isinstance(store, SqlStore)
    with store.reading() as connection:
        return sql_load.load(connection, sizes=sizes)


def _role(given: argparse.Namespace, held: ExitStack) -> Role:
    if given.mapped is not None:
        return Mapper(given.mapped)
    store = SqlStore.open(given.place, patience_s=given.patience)
    held.callback(store.close)
    load = partial(_load, sizes=SMALL if given.small else None)
    keeper = Keeper(store, load, publish_to=given.publish, publish_every_s=given.publish_every)
    return Server(store, held.enter_context(keeper))


class _Out:
    """Answers, a line each, of many threads."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._mutex = threading.Lock()

    def put(self, answer: Answer) -> None:
        line = json.dumps(answer, separators=(",", ":")) + "\n"
        with self._mutex:
            self._file.write(line)
            self._file.flush()


def _answer(role: Role, request: Request, out: _Out) -> None:
    try:
        answer = role.answer(request)
    except Exception as error:  # noqa: BLE001 - the other end has to hear of it, whatever it is
        answer = {"error": _told(error)}
    out.put({"id": request["id"], **answer})


def _told(error: Exception) -> Answer:
    told: Answer = {"kind": type(error).__name__, "message": str(error)}
    if isinstance(error, HoldfastError):
        told |= {"message": error.message, "place": error.place, "hint": error.hint}
    return told


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m holdfast.testing.inventory_server")
    parser.add_argument("place", nargs="?", help="where the inventory is")
    parser.add_argument("--publish", metavar="FOLDER", type=Path, help="publish the image here")
    parser.add_argument("--publish-every", metavar="SECONDS", type=float, default=0.05)
    parser.add_argument("--patience", metavar="SECONDS", type=float, default=30.0, help="with a database that is away")
    parser.add_argument("--small", action="store_true", help="an image of small pieces, merged all the time")
    parser.add_argument("--mapped", metavar="FOLDER", type=Path, help="read what is published here, instead of a place")
    given = parser.parse_args(arguments)
    if (given.place is None) == (given.mapped is None):
        parser.error("either a place or --mapped")
    logs.configure("warning", json=False)
    out = _Out(sys.stdout)
    with ExitStack() as held:
        try:
            role = _role(given, held)
        except HoldfastError as error:
            out.put({"error": _told(error)})
            return error.exit_code
        out.put({"ready": True})
        for line in sys.stdin:
            threading.Thread(target=_answer, args=(role, json.loads(line), out), daemon=True).start()
    return 0


if __name__ == "__main__":
    sys.exit(main())

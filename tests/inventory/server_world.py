"""ServerWorld: some servers on one PostgreSQL, clients that write and read, and somebody who kills.

Clients know nothing of each other. A writer whose answer was lost asks what
became of its write, as the contract says one can: a change set without changes
takes the writer's turn, so that nothing from before is under way any more; what
is not there then will never be. Only then it writes again.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random

from holdfast.inventory.store import Head
from holdfast.model.changes import ChangeSet
from holdfast.model.errors import Behind, DatabaseAway, OutcomeUnknown
from holdfast.testing.postgres_server import PostgresServer
from holdfast.testing.server_process import ServerDied, ServerProcess
from inventory import twin_writes
from inventory.twin_writes import TwinWrites

N_SERVERS, N_WRITERS, N_READERS = 3, 4, 8
KILLS = ("server",) * 2 + ("answer",) * 2 + ("connection",) * 2 + ("connections",) * 2 + ("database",) * 2
"""What is killed, how often in so many times; drawn like cards, so that a short run has some of each."""
PATIENCES_S = (5.0, 0.1, 5.0)
"""How long each server tries again; the one that hardly does tells its clients what the others never know."""
WRITES_EACH_KILL = 24
PATIENCE_S = 60.0
"""A client that gets nothing done for so long has met a defect."""
READ_EVERY_S = 0.02
NOTHING = ChangeSet((), "tester", "asking what became of a write")


class ServerWorld:
    """See the module's docstring. ``events`` counts what happened."""

    def __init__(self, database: PostgresServer, url: str, folder: Path, *, seed: int, beginning: Head) -> None:
        self.database = database
        self.seed = seed
        self.random = Random(seed)
        self.servers = [
            ServerProcess([url, "--small", "--patience", str(patience_s)], folder / f"server{number}.log")
            for number, patience_s in enumerate(PATIENCES_S)
        ]
        self.logs = [folder / f"server{number}.log" for number in range(N_SERVERS)]
        self.events: Counter[str] = Counter()
        self.plan: list[str] = []
        self.acknowledged: dict[str, Head] = {}
        self.found: set[str] = set()
        """Those whose answer was lost, and that were there nevertheless."""
        self.last: tuple[str, Head] = ("", beginning)
        self.permits = threading.Semaphore(0)
        self.to_swallow = threading.Semaphore(0)
        """So many answers to writes shall be lost, and the servers with them that know them."""
        self.stopped = threading.Event()
        self._answers: dict[int, str] = {}
        self._digests: dict[int, str] = {}
        self._mutex = threading.Lock()
        self._pool = ThreadPoolExecutor(N_WRITERS + N_READERS + N_SERVERS)
        self._clients: list[Future[None]] = []
        self._revived: list[Future[None]] = []
        self._starting = [threading.Lock() for _ in self.servers]

    def start(self) -> None:
        """Servers, then clients."""
        for starting in [self._pool.submit(server.start) for server in self.servers]:
            starting.result()
        for number in range(N_WRITERS):
            self._clients.append(self._pool.submit(self._client, Writer(self, number).run))
        for number in range(N_READERS):
            self._clients.append(self._pool.submit(self._client, Reader(self, number).run))

    def disturb(self, n_kills: int) -> None:
        """Kill ``n_kills`` times while everybody works."""
        cards: list[str] = []
        for _ in range(n_kills):
            cards = cards or self.random.sample(KILLS, len(KILLS))
            if self.stopped.is_set():
                break
            self._let_write(self.random.randrange(1, WRITES_EACH_KILL))
            self._kill(cards.pop())
        self._let_write(WRITES_EACH_KILL)
        for each in list(self._revived):
            each.result(PATIENCE_S)

    def revive(self, number: int) -> None:
        """Start a server that has died, meanwhile."""
        self._revived.append(self._pool.submit(self._client, partial(self._start, number)))

    def finish(self) -> None:
        """Let the clients end; raises what went wrong in one of them."""
        self.stopped.set()
        for _ in range(N_WRITERS):
            self.permits.release()
        for client in self._clients:
            client.result(PATIENCE_S)

    def close(self) -> None:
        """End it all, whatever has happened."""
        self.stopped.set()
        for server in self.servers:
            server.kill()
        for _ in range(N_WRITERS):
            self.permits.release()
        self._pool.shutdown(cancel_futures=True)

    def note(self) -> str:
        """What to say when it fails."""
        said = [f"{log.name}: {log.read_text(errors='replace')[-600:]}" for log in self.logs if log.exists()]
        return f"seed {self.seed}; kills: {', '.join(self.plan)}; {dict(self.events)}\n" + "\n".join(said)

    def acknowledge(self, name: str, head: Head) -> None:
        """A writer knows that this was committed at ``head``."""
        with self._mutex:
            assert name not in self.acknowledged
            self.acknowledged[name] = head
            if head.position > self.last[1].position:
                self.last = name, head

    def compare(self, answer: twin_writes.Answer) -> None:
        """Whoever answers at a position has to answer the same."""
        plain = json.dumps([answer[part] for part in ("groups", "sums", "datasets", "lookup")], sort_keys=True)
        seen = hashlib.sha256(plain.encode()).hexdigest()
        position = answer["head"].position
        with self._mutex:
            assert self._answers.setdefault(position, seen) == seen, f"two answers at position {position}"
            if "digest" in answer:
                first = self._digests.setdefault(position, answer["digest"])
                self.events["digests compared"] += first is not answer["digest"]
                assert first == answer["digest"], f"two contents at position {position}"

    def count(self, event: str) -> None:
        """Something happened."""
        with self._mutex:
            self.events[event] += 1

    def _client(self, run: Callable[[], None]) -> None:
        """Run one of those who work on; what goes wrong stops all."""
        try:
            run()
        except BaseException:
            self.stopped.set()
            raise

    def _let_write(self, n_until: int) -> None:
        """Permit WRITES_EACH_KILL writes, and return in the midst of them: when ``n_until`` are through."""
        target = len(self.acknowledged) + n_until
        for _ in range(WRITES_EACH_KILL):
            self.permits.release()
        deadline = time.monotonic() + PATIENCE_S
        while len(self.acknowledged) < target and not self.stopped.wait(0.002):
            assert time.monotonic() < deadline, "nothing is written any more"

    def _kill(self, kind: str) -> None:
        number = self.random.randrange(N_SERVERS)
        self.plan.append(f"{kind} {number}" if kind == "server" else kind)
        self.count(f"kills of {kind}")
        if kind == "server":
            self.servers[number].kill()
            self.revive(number)
        elif kind == "answer":
            self.to_swallow.release()
        elif kind == "connections":
            self.database.kill_connections()
        elif kind == "connection":
            query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'holdfast' ORDER BY backend_start, pid"
            pids = [pid for (pid,) in self.database.run(query)]
            if pids:
                self.database.run(f"SELECT pg_terminate_backend({self.random.choice(pids)})")
        else:
            self.database.stop("immediate")
            self.stopped.wait(self.random.uniform(0, 0.5))
            self.database.start()

    def _start(self, number: int) -> None:
        """Start one that was killed, as whoever looks after it does: until it stays."""
        server, deadline = self.servers[number], time.monotonic() + PATIENCE_S
        with self._starting[number]:
            while not server.is_running:
                try:
                    server.start()
                except (DatabaseAway, ServerDied):
                    assert time.monotonic() < deadline, "it does not start"
                    self.stopped.wait(0.1)


class Writer:
    """Writes one thing after the other, at whichever server."""

    def __init__(self, world: ServerWorld, number: int) -> None:
        self._world = world
        self._random = Random(world.seed * 100 + number)
        self._writes = TwinWrites(number)

    def run(self) -> None:
        """Write whenever it is permitted."""
        while True:
            self._world.permits.acquire()
            if self._world.stopped.is_set():
                return
            self._write(self._writes.next())

    def _write(self, change_set: ChangeSet) -> None:
        self._world.acknowledge(change_set.cause, self._until_done(lambda: self._written(change_set)))

    def _written(self, change_set: ChangeSet) -> Head | None:
        number = self._random.randrange(N_SERVERS)
        server = self._world.servers[number]
        dies = server.is_running and self._world.to_swallow.acquire(blocking=False)
        try:
            return server.commit(change_set, then_die=dies)
        except DatabaseAway:
            self._world.count("writes refused: database away")
            return None  # Nothing has happened; that is promised.
        except (ServerDied, OutcomeUnknown) as error:
            self._world.count(f"writes without answer: {type(error).__name__}")
        finally:
            if dies:
                self._world.revive(number)
        found = self._until_done(lambda: self._looked_up(change_set.cause))
        if not found.position:
            self._world.count("such writes not found")
            return None
        self._world.count("such writes found")
        self._world.found.add(change_set.cause)
        return found

    def _looked_up(self, name: str) -> Head | None:
        """The head of a state that has the write; position 0 if it is not there and will never be; None: ask again."""
        server = self._random.choice(self._world.servers)
        try:
            answer = server.read(server.commit(NOTHING), timeout_s=5.0, groups=True)
        except (ServerDied, DatabaseAway, Behind):
            return None
        head: Head = answer["head"]
        return head if f"{name}.left" in answer["groups"] else Head("", 0, "", 0)

    def _until_done(self, attempt: Callable[[], Head | None]) -> Head:
        deadline = time.monotonic() + PATIENCE_S
        while (head := attempt()) is None:
            assert time.monotonic() < deadline, "a writer gets nothing done"
            time.sleep(0.01)
        return head


class Reader:
    """Reads again and again, at whichever server, and judges every answer."""

    def __init__(self, world: ServerWorld, number: int) -> None:
        self._world = world
        self._random = Random(world.seed * 100 + 50 + number)
        self._positions: Counter[int] = Counter()

    def run(self) -> None:
        """Read until it is over."""
        while not self._world.stopped.wait(READ_EVERY_S):
            number = self._random.randrange(N_SERVERS)
            try:
                self._read(number)
            except (ServerDied, Behind) as error:
                self._world.count(f"reads without answer: {type(error).__name__}")

    def _read(self, number: int) -> None:
        world, more = self._world, twin_writes.question(N_WRITERS)
        name, head = world.last
        kind = self._random.choice(["whatever", "own writes", "young", "digest"])
        if kind == "own writes":
            more |= {"at_least": head, "timeout_s": 5.0}
        elif kind == "young":
            more |= {"age_s_max": 2.0, "timeout_s": 2.0}
        elif kind == "digest":
            more |= {"at_least": head, "timeout_s": 5.0, "digest": True}
        answer = world.servers[number].read(**more)
        twin_writes.assert_whole(answer, N_WRITERS)
        world.compare(answer)
        position = answer["head"].position
        assert position >= self._positions[number], f"server {number} went back to {position}"
        self._positions[number] = position
        if "at_least" in more:
            assert position >= head.position
            assert not name or f"{name}.right" in answer["groups"]
        world.count(f"reads of {kind}")

"""The process behind ``delay_proxy``: lines that carry bytes late, and break them.

    python -m holdfast.testing.servers.delay_line PORT SEED

It takes orders as lines of JSON on standard input, answers each with one, and
ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import socket
import struct
import sys
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from holdfast.testing.servers.delay_http import HttpFaults

QUEUE_BYTES_MAX = 32 << 20
"""How much may be under way in one direction of a connection; more would be a far side that never reads."""

_AT_ONCE_S = 0.0005
_RESET = struct.pack("ii", 1, 0)

Action = Callable[[], None]


class DelayWorld:
    """What all connections share: how far the server is, what goes wrong, what has been done."""

    def __init__(self, port: int, seed: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.port = port
        self.seed = seed
        self.one_way_s = 0.0
        self.faults: dict[str, Any] = {}
        self.counts: Counter[str] = Counter()
        self.connections: set[Connection] = set()

    def share(self, fault: str) -> float:
        """How often this goes wrong."""
        return float(self.faults.get(fault) or 0.0)

    def order(self, order: dict[str, Any]) -> None:
        """What the test wants from now on."""
        if "round_trip_s" in order:
            self.one_way_s = order["round_trip_s"] / 2
        self.faults = order.get("faults", self.faults)
        if order.get("cut_all"):
            for connection in list(self.connections):
                connection.reset()


class Line:
    """One direction of a connection: bytes and actions, each with the moment at which it is due, in their order."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: deque[tuple[float, bytes | Action]] = deque()
        self._last_due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.n_bytes = 0
        self.source: asyncio.Transport | None = None
        self.target: asyncio.Transport | None = None
        self._is_full = False

    def push(self, what: bytes | Action, due: float) -> None:
        """Let something happen at ``due``, and not before what was pushed before."""
        due = self._last_due = max(due, self._last_due)
        if due == math.inf:
            return
        self._queue.append((due, what))
        if isinstance(what, bytes):
            self.n_bytes += len(what)
            if self.n_bytes > QUEUE_BYTES_MAX and not self._is_full and self.source is not None:
                self._is_full = True
                self.source.pause_reading()
        self.go_on()

    def go_on(self) -> None:
        """Let happen what is due, once there is somebody to send it to."""
        if self._timer is None and self.target is not None and self._queue:
            self._timer = self._loop.call_at(self._queue[0][0], self._release)

    def _release(self) -> None:
        until = self._loop.time() + _AT_ONCE_S
        pieces: list[bytes] = []
        while self._queue and self._queue[0][0] <= until:
            what = self._queue.popleft()[1]
            if isinstance(what, bytes):
                pieces.append(what)
            else:
                self._write(pieces)
                pieces = []
                what()
        self._write(pieces)
        self._timer = None
        self.go_on()

    def _write(self, pieces: list[bytes]) -> None:
        if not pieces or self.target is None or self.target.is_closing():
            return
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.n_bytes -= len(data)
        self.target.write(data)
        if self._is_full and self.n_bytes < QUEUE_BYTES_MAX // 2 and self.source is not None:
            self._is_full = False
            self.source.resume_reading()


class Side(asyncio.Protocol):
    """One end of a connection; ``data`` is told what comes from it, ``line`` leads away from it and ``back`` to it."""

    def __init__(self, connection: Connection, data: Callable[[bytes], None], line: Line, back: Line) -> None:
        self._connection = connection
        self._data = data
        self._line = line
        self._back = back

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        assert isinstance(transport, asyncio.Transport)
        # The line itself bounds what is under way.
        transport.set_write_buffer_limits(high=QUEUE_BYTES_MAX)
        self._line.source = self._back.target = transport
        self._connection.opened(self)
        # A client may have been quicker: Python before 3.11.4 reads on even where reading was paused at once.
        self._back.go_on()

    def data_received(self, data: bytes) -> None:
        """It sends something."""
        self._data(data)

    def eof_received(self) -> bool:
        """It sends nothing more, but may still read."""
        self._line.push(self._connection.end_of(self._line), self._connection.due())
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone."""
        self._connection.lost(self._line, error)

    def pause_writing(self) -> None:
        """It does not read: the other side had better wait."""
        if self._back.source is not None:
            self._back.source.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        if self._back.source is not None and not self._back.source.is_closing():
            self._back.source.resume_reading()


class Connection:
    """A client, the server, a line for each direction, and dice."""

    def __init__(self, world: DelayWorld) -> None:
        self._world = world
        world.counts["connections"] += 1
        self._dice = random.Random(f"{world.seed}/{world.counts['connections']}")
        self._up, self._down = Line(world.loop), Line(world.loop)
        self._http = HttpFaults(self._dice, world.share)
        self._is_over = False
        self._first_due = 0.0
        self.client = Side(self, self._from_client, self._up, self._down)
        self._server = Side(self, self._from_server, self._down, self._up)
        self._connecting: asyncio.Task[None] | None = None

    def due(self) -> float:
        """When what comes now will be on the other side."""
        return self._world.loop.time() + self._world.one_way_s

    def opened(self, side: Side) -> None:
        """A side is there: the client first."""
        if side is not self.client:
            return
        self._world.connections.add(self)
        self._first_due = self._world.loop.time() + 3 * self._world.one_way_s
        if self._happens("refuse"):
            self.reset()
            return
        assert self._up.source is not None
        self._up.source.pause_reading()
        self._connecting = self._world.loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await self._world.loop.create_connection(lambda: self._server, "127.0.0.1", self._world.port)
        except OSError:
            self.reset()
            return
        assert self._up.source is not None
        if self._is_over or self._up.source.is_closing():
            self.reset()
        else:
            self._up.source.resume_reading()

    def _from_client(self, data: bytes) -> None:
        self._world.counts["bytes_up"] += len(data)
        if self._is_over:
            return
        if self._happens("cut_sending"):
            self._break(self._up, self.reset)
            return
        verdict = self._http.request(data)
        if verdict.is_new:
            self._world.counts["requests"] += 1
        if verdict.fault:
            self._world.counts[verdict.fault] += 1
        if verdict.answer is not None:
            self._down.push(verdict.answer, max(self.due(), self._first_due) + self._world.one_way_s)
        elif verdict.goes_on:
            self._up.push(data, max(self.due(), self._first_due))

    def _from_server(self, data: bytes) -> None:
        counts = self._world.counts
        counts["pieces"] += 1
        counts["bytes_down"] += len(data)
        if self._is_over:
            return
        kept = self._http.reply(data)
        if kept is not None:
            self._down.push(kept, self.due())
            self._break(self._down, self._finish)
        elif self._world.faults:
            self._deliver(data)
        else:
            self._down.push(data, self.due())

    def _deliver(self, data: bytes) -> None:
        """Hand on what the server sends, or what becomes of it."""
        if self._happens("cut"):
            self._break(self._down, self.reset)
        elif self._happens("half"):
            self._cut_short(data, self.reset)
        elif self._happens("truncate"):
            self._cut_short(data, self._finish)
        elif self._happens("stall"):
            stall_s = self._world.faults.get("stall_s")
            self._down.push(data, math.inf if stall_s is None else self.due() + stall_s)
        elif self._happens("garbage"):
            self._down.push(self._dice.randbytes(len(data)), self.due())
        else:
            self._down.push(data, self.due())

    def _cut_short(self, data: bytes, how: Action) -> None:
        self._down.push(data[: self._dice.randrange(len(data))], self.due())
        self._break(self._down, how)

    def _happens(self, fault: str) -> bool:
        share = self._world.share(fault)
        if share <= 0 or self._dice.random() >= share:
            return False
        self._world.counts[fault] += 1
        return True

    def _break(self, line: Line, how: Action) -> None:
        """Nothing more is carried; when that would have arrived, the connection ends."""
        self._is_over = True
        line.push(how, self.due())

    def reset(self) -> None:
        """Break the connection at once, on both sides."""
        self._is_over = True
        self._world.connections.discard(self)
        for line in (self._up, self._down):
            if line.target is not None and not line.target.is_closing():
                stream: socket.socket = line.target.get_extra_info("socket")
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                line.target.abort()

    def _finish(self) -> None:
        """End the connection as if the server had closed it."""
        if self._down.target is not None:
            self._down.target.close()
        if self._up.target is not None:
            self._up.target.abort()

    def end_of(self, line: Line) -> Action:
        """Tell the other side that nothing more comes on this line."""

        def end() -> None:
            if line.target is not None and not line.target.is_closing():
                with suppress(OSError):  # Reset by the other side, which will be heard of in a moment.
                    line.target.write_eof()

        return end

    def lost(self, line: Line, error: Exception | None) -> None:
        """A side is gone: the other hears of it in its time."""
        self._world.connections.discard(self)

        def close() -> None:
            if error is not None:
                self.reset()
            elif line.target is not None:
                line.target.close()

        line.push(close, self.due())


async def serve(port: int, seed: int) -> None:
    """Carry and break until standard input ends."""
    world = DelayWorld(port, seed)
    server = await world.loop.create_server(lambda: Connection(world).client, "127.0.0.1", 0, backlog=1024)
    own_port = server.sockets[0].getsockname()[1]
    orders = asyncio.StreamReader()
    await world.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        world.order(json.loads(line))
        sys.stdout.write(json.dumps({"port": own_port, "counts": world.counts}) + "\n")
        sys.stdout.flush()
    server.close()
    for connection in list(world.connections):
        connection.reset()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))

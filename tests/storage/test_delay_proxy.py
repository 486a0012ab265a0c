"""holdfast.testing.servers.delay_proxy: the way is as far and as bad as it was told to be, and not worse.

Method: a plain echo server in the test's own loop, and a small HTTP server; what
arrives is compared with what was sent.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from holdfast.testing.servers.delay_proxy import DelayProxy, ProxyFaults, delay_proxy
from holdfast.testing.servers.ports import free_port

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send everything back; end when the other side ends."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request with its own body and the number of requests so far on the connection."""
    number = 0
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r")[0] or 0)
            if b"100-continue" in head:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await reader.readexactly(length)
            number += 1
            writer.write(b"HTTP/1.1 200 OK\r\nX-Number: %d\r\nContent-Length: %d\r\n\r\n%s" % (number, len(body), body))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


@asynccontextmanager
async def behind(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    *,
    round_trip_s: float = 0.0,
    seed: int = 1,
) -> AsyncIterator[DelayProxy]:
    handling: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handling.add(task)
        await serve(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=1 << 22)
    try:
        with delay_proxy(server.sockets[0].getsockname()[1], round_trip_s=round_trip_s, seed=seed) as proxy:
            yield proxy
    finally:
        # With the proxy all its connections have ended.
        server.close()
        await asyncio.wait_for(asyncio.gather(*handling), 10)


async def connect(proxy: DelayProxy) -> Streams:
    return await asyncio.open_connection("127.0.0.1", proxy.port, limit=1 << 22)


async def exchanged(streams: Streams, data: bytes) -> bytes:
    """What comes back for ``data``: as many bytes, or fewer if the connection ends."""
    reader, writer = streams
    writer.write(data)
    try:
        return await reader.readexactly(len(data))
    except asyncio.IncompleteReadError as error:
        return error.partial


async def taken(what: Awaitable[object]) -> float:
    """How many seconds something takes."""
    begun = time.monotonic()
    await what
    return time.monotonic() - begun


async def closed(streams: Streams) -> None:
    streams[1].close()
    try:
        await streams[1].wait_closed()
    except ConnectionError:
        pass  # It was reset: that is a way of being closed.


# ---- distance ---------------------------------------------------------------


def test_everything_arrives_in_order_and_whole():
    async def run() -> None:
        async with behind(echo, round_trip_s=0.02) as proxy:
            data = bytes(range(256)) * 20_000
            streams = await connect(proxy)
            assert await exchanged(streams, data) == data
            streams[1].write_eof()
            assert await streams[0].read() == b""
            await closed(streams)
            counts = proxy.counts
            assert counts["bytes_up"] == counts["bytes_down"] == len(data)
            assert counts["connections"] == 1

    asyncio.run(run())


def test_a_round_trip_takes_its_time_and_a_first_one_twice_that():
    async def run() -> None:
        async with behind(echo, round_trip_s=0.1) as proxy:
            streams = await connect(proxy)
            took = [await taken(exchanged(streams, b"x")) for _ in range(6)]
            assert took[0] >= 0.199
            # How long it takes beyond that is the machine's affair, but for once it is quick.
            assert 0.099 <= min(took) < 0.15
            proxy.round_trip_s = 0.0
            assert min([await taken(exchanged(streams, b"x")) for _ in range(6)]) < 0.09
            await closed(streams)

    asyncio.run(run())


def test_distance_does_not_limit_how_much_is_under_way():
    """One request after the other would take 30 seconds, one piece after the other 20."""

    async def run() -> None:
        async with behind(echo, round_trip_s=0.1) as proxy:
            streams = await connect(proxy)
            begun = time.monotonic()
            for _ in range(300):
                streams[1].write(b"y" * 1000)
                await asyncio.sleep(0)
            assert await streams[0].readexactly(300_000) == b"y" * 300_000
            data = b"z" * 20_000_000
            got = await asyncio.gather(streams[0].readexactly(len(data)), _send(streams[1], data))
            assert got[0] == data
            assert time.monotonic() - begun < 10
            await closed(streams)

    asyncio.run(run())


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


def test_a_client_that_does_not_read_fills_no_memory():
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"x" * 1_000_000)
                await writer.drain()
        except ConnectionError:
            writer.close()

    async def run() -> None:
        async with behind(endless, round_trip_s=0.01) as proxy:
            streams = await connect(proxy)
            carried, before = 0, -1
            while carried != before:
                assert carried < 120_000_000
                await asyncio.sleep(0.5)
                carried, before = proxy.counts["bytes_down"], carried
            streams[1].transport.abort()

    asyncio.run(run())


def test_a_server_that_is_not_there_breaks_the_connection():
    async def one_byte(proxy: DelayProxy) -> None:
        streams = await connect(proxy)
        await streams[0].readexactly(1)

    # A reset may come while we still connect, or be all that the end of the connection says.
    broken = pytest.raises((ConnectionResetError, asyncio.IncompleteReadError))
    with delay_proxy(free_port()) as proxy, broken:
        asyncio.run(one_byte(proxy))


def test_a_server_that_ends_ends_the_connection_in_good_order():
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.close()

    async def run() -> None:
        async with behind(greet, round_trip_s=0.02) as proxy:
            streams = await connect(proxy)
            assert await streams[0].read() == b"bye"
            await closed(streams)

    asyncio.run(run())


# ---- faults -----------------------------------------------------------------


async def fate(proxy: DelayProxy) -> str:
    """How one exchange on a new connection ends."""
    data = b"0123456789"
    try:
        streams = await connect(proxy)
    except ConnectionError:
        return "reset"
    try:
        # Silence cannot be told from a busy machine but by waiting; where none is wanted, that is no question.
        async with asyncio.timeout(1 if proxy.faults.stall else 30):
            got = await exchanged(streams, data)
    except ConnectionError:
        return "reset"
    except TimeoutError:
        return "silent"
    finally:
        await closed(streams)
    return "whole" if got == data else "other" if len(got) == len(data) else "short"


@pytest.mark.parametrize(
    ("fault", "fates"),
    [
        ("refuse", {"reset"}),
        ("cut", {"reset"}),
        ("cut_sending", {"reset"}),
        ("half", {"reset"}),
        ("truncate", {"short"}),
        ("stall", {"silent"}),
        ("garbage", {"other"}),
    ],
)
def test_each_fault_is_what_it_says_and_is_counted(fault: str, fates: set[str]):
    async def run() -> None:
        async with behind(echo) as proxy:
            assert await fate(proxy) == "whole"
            proxy.faults = ProxyFaults(**{fault: 1.0})
            assert {await fate(proxy) for _ in range(3)} <= fates
            assert proxy.counts[fault] == 3
            proxy.faults = ProxyFaults()
            assert await fate(proxy) == "whole"
            assert proxy.counts[fault] == 3

    asyncio.run(run())


def test_a_stall_may_end():
    async def run() -> None:
        async with behind(echo) as proxy:
            proxy.faults = ProxyFaults(stall=1.0, stall_s=0.3)
            streams = await connect(proxy)
            begun = time.monotonic()
            assert await exchanged(streams, b"x") == b"x"
            assert time.monotonic() - begun >= 0.299
            await closed(streams)

    asyncio.run(run())


def test_faults_begin_and_end_on_connections_that_are_there():
    async def run() -> None:
        async with behind(echo) as proxy:
            streams = await connect(proxy)
            assert await exchanged(streams, b"x") == b"x"
            proxy.faults = ProxyFaults(garbage=1.0)
            assert await exchanged(streams, b"x" * 50) != b"x" * 50
            proxy.faults = ProxyFaults()
            assert await exchanged(streams, b"x") == b"x"
            proxy.cut_all()
            with pytest.raises(ConnectionResetError):
                await streams[0].readexactly(1)
            await closed(streams)

    asyncio.run(run())


def test_shares_are_kept_and_chance_has_a_seed():
    async def garbled(seed: int) -> list[bool]:
        async with behind(echo, seed=seed) as proxy:
            proxy.faults = ProxyFaults(garbage=0.1)
            streams = await connect(proxy)
            got = [await exchanged(streams, b"x" * 30) != b"x" * 30 for _ in range(400)]
            assert sum(got) == proxy.counts["garbage"]
            await closed(streams)
            return got

    first, again, other = (asyncio.run(garbled(seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert 20 <= sum(first) <= 65


# ---- HTTP -------------------------------------------------------------------


async def asked(streams: Streams, body: bytes = b"0123456789", *, parts: int = 1) -> tuple[int, bytes]:
    """Status and body of one request; what is missing of the body shows in its length."""
    reader, writer = streams
    request = b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    writer.write(request + (body if parts == 1 else b""))
    for start in range(0, len(body), len(body) // parts) if parts > 1 else ():
        await asyncio.sleep(0.02)
        writer.write(body[start : start + len(body) // parts])
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r")[0])
    try:
        return int(head.split()[1]), await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        return int(head.split()[1]), error.partial


@pytest.mark.parametrize(("fault", "status"), [("unavailable", 503), ("forbidden", 403)])
def test_a_request_is_answered_in_the_place_of_the_server(fault: str, status: int):
    async def run() -> None:
        async with behind(http) as proxy:
            streams = await connect(proxy)
            assert await asked(streams) == (200, b"0123456789")
            proxy.faults = ProxyFaults(**{fault: 1.0})
            assert await asked(streams) == (status, b"")
            assert await asked(streams, b"long" * 1000, parts=4) == (status, b"")
            await asyncio.sleep(0.1)
            proxy.faults = ProxyFaults()
            # The same connection goes on, and the server has heard nothing of the two.
            assert await asked(streams) == (200, b"0123456789")
            assert proxy.counts[fault] == 2
            assert proxy.counts["requests"] == 4
            await closed(streams)

    asyncio.run(run())


def test_such_answers_take_their_time_too():
    async def run() -> None:
        async with behind(http, round_trip_s=0.1) as proxy:
            proxy.faults = ProxyFaults(unavailable=1.0)
            streams = await connect(proxy)
            await asked(streams)
            assert 0.099 <= min([await taken(asked(streams)) for _ in range(6)]) < 0.15
            assert proxy.counts["unavailable"] == 7
            await closed(streams)

    asyncio.run(run())


@pytest.mark.parametrize("body", [b"0123456789", b"x" * 300_000])
def test_half_a_body_is_at_most_half(body: bytes):
    async def run() -> None:
        async with behind(http) as proxy:
            proxy.faults = ProxyFaults(half_body=1.0)
            streams = await connect(proxy)
            status, got = await asked(streams, body)
            assert status == 200
            assert len(got) <= len(body) // 2
            assert body.startswith(got)
            await closed(streams)
            streams = await connect(proxy)
            assert await asked(streams, b"") == (200, b"")
            await closed(streams)

    asyncio.run(run())


def test_a_body_that_is_waited_for_with_100_continue_belongs_to_its_request():
    async def run() -> None:
        async with behind(http) as proxy:
            proxy.faults = ProxyFaults(half_body=1.0)
            reader, writer = await connect(proxy)
            writer.write(b"PUT /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n")
            assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
            writer.write(b"GET /abc")
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head
            assert await reader.read() == b"GET "
            await closed((reader, writer))

    asyncio.run(run())


def test_what_is_not_http_passes():
    async def run() -> None:
        async with behind(echo) as proxy:
            proxy.faults = ProxyFaults(unavailable=1.0, forbidden=1.0, half_body=1.0)
            streams = await connect(proxy)
            for data in (b"\x16\x03\x01\x02\x00", b"\0" * 20, b"get / HTTP/1.1\r\n\r\n"):
                assert await exchanged(streams, data) == data
            await closed(streams)

    asyncio.run(run())


# ---- the process ------------------------------------------------------------


def test_it_ends_with_the_process_that_started_it():
    script = """
import os, sys
from holdfast.testing.servers.delay_proxy import DelayProxy
proxy = DelayProxy(1)
print(proxy._process.pid, flush=True)
os._exit(0)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    pid = int(ran.stdout)
    for _ in range(500):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return
        except FileNotFoundError:
            return
        time.sleep(0.01)
    raise AssertionError("it goes on without anybody")

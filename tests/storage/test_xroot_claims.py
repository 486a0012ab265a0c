"""NameClaim against a real server: one at a time has a name, and the dead have none."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.model.errors import PeerError
from holdfast.storage.driver import NotThere
from support import real

if TYPE_CHECKING:
    from holdfast.storage.xroot.claims import NameClaim
    from holdfast.storage.xroot.door import XrootDoor
    from holdfast.testing.servers.xrootd_server import XrootdServer

pytestmark = pytest.mark.real("xrootd", "xrootd python client")

_FOLDERS = itertools.count(1)
PATIENCE_S = 60.0
SHORT_S = 0.3
DEAD = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def server() -> Iterator[XrootdServer]:
    for part in ("xrootd", "xrootd python client"):
        real.require(part)
    from holdfast.testing.servers.xrootd_server import xrootd_server

    with xrootd_server() as running:
        yield running


@pytest.fixture
def folder(server: XrootdServer) -> str:
    name = f"/t{next(_FOLDERS)}"
    server.make_directory(name)
    return name


def open_at(server: XrootdServer, folder: str) -> XrootDoor:
    from holdfast.storage.access import Access
    from holdfast.storage.xroot.address import parse
    from holdfast.storage.xroot.door import XrootDoor

    return XrootDoor(parse(server.root_url + folder), Access())


def wish(door: XrootDoor, path: str = "/file", *, source: str = "", patience_s: float = PATIENCE_S) -> NameClaim:
    from holdfast.storage.xroot.claims import NameClaim

    return NameClaim(door, path, path, source=source, patience_s=patience_s)


def claimed_by_the_dead(server: XrootdServer, folder: str, *, seconds_ago: float, name: str = DEAD) -> None:
    """What a writer leaves that was killed with the claim of ``/file``."""
    from holdfast.storage.xroot.claims import claim_path

    claim = folder + claim_path("/file")
    server.make_directory(claim)
    server.make_directory(f"{claim}/{name}")
    moment = time.time() - seconds_ago
    os.utime(server.data / f"{claim}/{name}"[1:], (moment, moment))


def left_in(server: XrootdServer, folder: str) -> list[str]:
    return os.listdir(server.data / folder[1:])


def test_one_at_a_time_has_a_name(server: XrootdServer, folder: str) -> None:
    inside, turns = 0, 0

    async def take_a_turn(door: XrootDoor) -> None:
        nonlocal inside, turns
        claim = wish(door)
        await claim.take()
        inside += 1
        assert inside == 1
        await asyncio.sleep(0.005)
        inside -= 1
        turns += 1
        await claim.release()

    async def all_of_them() -> None:
        doors = [open_at(server, folder) for _ in range(3)]
        await asyncio.gather(*(take_a_turn(door) for door in doors for _ in range(5)))

    asyncio.run(all_of_them())
    assert turns == 15
    assert left_in(server, folder) == []


def test_names_beside_each_other_are_claimed_at_one_time(server: XrootdServer, folder: str) -> None:
    async def both() -> None:
        door = open_at(server, folder)
        one, other = wish(door, "/one", patience_s=SHORT_S), wish(door, "/other", patience_s=SHORT_S)
        await one.take()
        await other.take()
        assert len(left_in(server, folder)) == 2
        await one.release()
        await other.release()

    asyncio.run(both())
    assert left_in(server, folder) == []


def test_whoever_waits_too_long_gives_up_and_leaves_nothing(server: XrootdServer, folder: str) -> None:
    async def wait_in_vain() -> None:
        door = open_at(server, folder)
        holder = wish(door)
        await holder.take()
        with pytest.raises(PeerError, match="another writer is giving this name its file"):
            await wish(door, patience_s=SHORT_S).take()
        assert len(left_in(server, folder)) == 1
        await holder.release()

    asyncio.run(wait_in_vain())
    assert left_in(server, folder) == []


def test_the_claim_of_a_dead_writer_is_ended(server: XrootdServer, folder: str) -> None:
    claimed_by_the_dead(server, folder, seconds_ago=900 + 4 * PATIENCE_S + 10)

    async def succeed() -> None:
        claim = wish(open_at(server, folder))
        await claim.take()
        await claim.release()

    asyncio.run(succeed())
    assert left_in(server, folder) == []


def test_the_claim_of_one_who_may_be_alive_is_not(server: XrootdServer, folder: str) -> None:
    claimed_by_the_dead(server, folder, seconds_ago=800)

    async def wait_in_vain() -> None:
        with pytest.raises(PeerError, match="another writer"):
            await wish(open_at(server, folder), patience_s=SHORT_S).take()

    asyncio.run(wait_in_vain())
    (claim,) = left_in(server, folder)
    assert os.listdir(server.data / folder[1:] / claim) == [DEAD]


def test_the_claim_for_a_part_ends_with_the_part(server: XrootdServer, folder: str) -> None:
    from holdfast.storage.xroot.claims import holder_name

    part = "/.holdfast-part-deadx1"
    server.put(folder + part, b"half")
    claimed_by_the_dead(server, folder, seconds_ago=1, name=holder_name("/file", part, DEAD))

    async def take(*, patience_s: float) -> None:
        claim = wish(open_at(server, folder), source="/.holdfast-part-nextx1", patience_s=patience_s)
        await claim.take()
        await claim.release()

    with pytest.raises(PeerError, match="another writer"):
        asyncio.run(take(patience_s=SHORT_S))
    # Whoever takes over from the dead removes their parts first.
    (server.data / (folder + part)[1:]).unlink()
    asyncio.run(take(patience_s=PATIENCE_S))
    assert left_in(server, folder) == []


def test_a_claim_that_others_end_at_the_same_moment_is_over(server: XrootdServer, folder: str) -> None:
    """XRootD looks first, and then removes: who comes in between has it say that nothing is there."""
    from holdfast.storage.xroot.claims import holder_name

    over = holder_name("/file", "/.holdfast-part-gonex1", DEAD)
    claimed_by_the_dead(server, folder, seconds_ago=1, name=over)

    async def scenario() -> None:
        door = open_at(server, folder)
        change = door.change
        ended: list[str] = []

        async def second(call: str, path: str, *more: Any) -> None:
            if call == "rmdir" and path.endswith(over) and not ended:
                ended.append(path)
                await change(call, path, *more)
                raise NotThere("no such file or directory", place=path)
            await change(call, path, *more)

        door.change = second  # type: ignore[method-assign]
        claim = wish(door)
        await claim.take()
        await claim.release()
        assert ended

    asyncio.run(scenario())
    assert left_in(server, folder) == []


def test_a_claim_for_what_is_no_part_beside_it_names_none() -> None:
    from holdfast.storage.xroot.claims import holder_name

    assert holder_name("/a/file", "/a/other", DEAD) == DEAD
    assert holder_name("/a/file", "/b/.holdfast-part-x1", DEAD) == DEAD
    assert holder_name("/a/file", "/a/.holdfast-part-x1", DEAD) == f".holdfast-part-x1.{DEAD}"


def test_somebody_else_s_claim_outlives_a_release_that_comes_late(server: XrootdServer, folder: str) -> None:
    async def release_late() -> None:
        door = open_at(server, folder)
        late, next_one = wish(door), wish(door)
        await late.take()
        # The one that was stopped for too long: its claim was ended by somebody else.
        await late.release()
        await next_one.take()
        await late.release()
        with pytest.raises(PeerError, match="another writer"):
            await wish(door, patience_s=SHORT_S).take()
        await next_one.release()

    asyncio.run(release_late())
    assert left_in(server, folder) == []


def test_a_file_where_the_claim_should_be_is_told(server: XrootdServer, folder: str) -> None:
    from holdfast.storage.xroot.claims import claim_path

    server.put(folder + claim_path("/file"), b"not a directory")

    async def fail() -> None:
        with pytest.raises(Exception, match="directory"):
            await wish(open_at(server, folder), patience_s=SHORT_S).take()

    asyncio.run(fail())
    assert left_in(server, folder) == [claim_path("/file")[1:]]

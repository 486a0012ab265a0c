"""Copies from one XRootD server to another, past us (third-party copy).

We open the file at both ends and tell each of the other; then the destination
fetches it, which takes as long as one ``sync`` of its new file:

    source        open for placement: on which server it is, and how large
    destination   open as a new file, naming that server, the path, and a key
    source        open with the same key, naming the destination's server: so it lets that one in
    destination   sync: it begins to fetch
    destination   sync: answered when all has come

Rules
  * The key is random, of this copy alone, and in no error.
  * The source knows the key before the destination begins. The other order is allowed, and then who fetches may come
    before his key: XRootD 5.5 keeps him waiting, and now and then forgets to tell him that it has come.
  * While bytes travel the new file is looked at every LOOK_EVERY_S: that is the
    progress. One that has grown and then grows no further for the time limit of
    a call is given up; one that never shows that it grows, after as long as
    that many bytes take a slow storage beside.
  * A copy that is given up is called off at the destination; what it has left
    there is removed by whoever knows that it is ours.
  * That all is there is believed when the file has all its bytes: servers have
    said so of a file that was cut off because the disk was full.
  * Servers run a few copies at a time and let others wait. So no more than
    COPIES_MAX of one driver are on their way.
  * A path with ``&`` cannot be named to another server: InvalidName.
  * Both servers have to call each other by the name that we use: the key is
    good for one host. ``localhost`` is nobody's name there.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import NamedTuple

from XRootD.client.flags import OpenFlags

from holdfast.model.errors import BadInput, HoldfastError, InvalidName, PeerError
from holdfast.storage.abilities import FarFile, Progress
from holdfast.storage.carried_out import carried_out
from holdfast.storage.driver import FarNotAllowed, NoSpace, NotAFile, NotAllowed, NotThere
from holdfast.storage.xroot.address import MARK
from holdfast.storage.xroot.calls import CallAnswer, Calls, Future
from holdfast.storage.xroot.door import XrootDoor
from holdfast.storage.xroot.errors import meaning
from holdfast.storage.xroot.files import Opened

COPIES_MAX = 8
LOOK_EVERY_S = 1.0
LONGEST_S = 60_000
CALLING_OFF_S = 5.0

_READ = int(OpenFlags.READ)
_NEW = int(OpenFlags.NEW | OpenFlags.MAKEPATH | OpenFlags.UPDATE)
_SCHEMES = frozenset({"root", "roots", "xroot", "xroots"})
# With the zero at its end: the server compares that, too.
_CALL_OFF = b"ofs.tpc cancel\0"
_TTL_S = 60


class _Origin(NamedTuple):
    """Where the source really is."""

    scheme: str
    server: str
    path: str
    parameters: str
    size: int


class End(Opened):
    """The file at one end of a copy."""

    @property
    def url(self) -> str:
        """Where it really is, after all redirections; with parameters, so never shown."""
        return str(self._file.get_property("LastURL"))


class CopyTarget(End):
    """The new file, which its server fetches."""

    _copying: Future | None = None

    async def sync(self) -> None:
        """Let the server begin to fetch; an error of the contract."""
        self._checked(await self._calls.act(self._file.sync))

    async def fetched(self, size: int, progress: Progress | None) -> None:
        """Wait until all has come."""
        self._copying = self._calls.begin(self._file.sync, limit_s=LONGEST_S)
        watch = _Watch(self._calls, size)
        while not (await asyncio.wait({self._copying}, timeout=LOOK_EVERY_S))[0]:
            with suppress(NotThere):  # Some have no file before they have all of it.
                watch.saw((await self.look(anew=True)).size)
            if progress is not None:
                progress(watch.size)
            if watch.is_stalled:
                raise PeerError(f"no byte has been copied for {watch.patience_s:g} s", place=self._place)
        _require(self._copying.result(), self._place)
        arrived = (await self.look(anew=True)).size
        if arrived != size:
            raise PeerError(f"{arrived} of {size} bytes have arrived, though the storage says all", place=self._place)

    async def call_off(self) -> None:
        """Let the server stop fetching; a file that waits for something cannot be closed."""
        if self._copying is not None and not self._copying.done():
            await self._calls.ask(self._file.fcntl, _CALL_OFF, limit_s=CALLING_OFF_S)
            await asyncio.wait({self._copying}, timeout=CALLING_OFF_S)


class XrootCopies:
    """The copies that one driver has begun; ``door`` is its own."""

    def __init__(self, door: XrootDoor) -> None:
        self._door = door
        self._calls = door.calls
        self._turn = asyncio.Semaphore(COPIES_MAX)

    async def fetch(self, path: str, source: FarFile, size: int | None, place: str, progress: Progress | None) -> int:
        """Make the new file ``path`` of our own door; its size."""
        target = await self._door.url(path)
        async with self._turn:
            origin = await self._placed(_known(source, place), size, place)
            try:
                await self._copy(origin, target, place, progress)
            except PeerError as error:
                raise await self._full(path, origin.size, place) or error from error
        return origin.size

    async def send(self, path: str, destination: FarFile, place: str, progress: Progress | None) -> None:
        """Let another door make a new file of our ``path``."""
        source = await self._door.url(path)
        async with self._turn:
            origin = await self._placed(source, None, place)
            await self._copy(origin, _known(destination, place), place, progress)

    async def _placed(self, source: str, size: int | None, place: str) -> _Origin:
        """Find out where the source is, and that it is what we want."""
        end = End(self._calls, _with(source, "tpc.stage=placement"), place)
        try:
            await end.open_with(_READ)
            found = (await end.look(anew=False)).size
            scheme, server, path = _parts(end.url)
        except HoldfastError as error:
            raise _of_the_source(error, place) from error
        finally:
            await end.close()
        if size not in (None, found):
            raise PeerError(f"the other storage has {found} bytes, not {size}", place=place)
        if "&" in path:
            # It is told to the destination as a parameter, and these are not encoded in any way.
            raise InvalidName("a file with '&' in its path cannot be copied between storages", place=place)
        return _Origin(scheme, server, path, source.partition(MARK)[2], found)

    async def _copy(self, origin: _Origin, target: str, place: str, progress: Progress | None) -> None:
        key = secrets.token_hex(12)
        scheme = target.partition("://")[0].removeprefix("x")
        told = f"tpc.key={key}&tpc.src={origin.server}&tpc.lfn={origin.path}"
        kind = f"tpc.spr={origin.scheme}&tpc.tpr={scheme}&tpc.stage=copy&oss.asize={origin.size}"
        destination = CopyTarget(self._calls, _with(target, f"{told}&{kind}"), place)
        source: End | None = None
        try:
            await destination.open_with(_NEW)
            host = _host(destination.url)
            grant = f"tpc.key={key}&tpc.dst={host}&tpc.stage=copy&tpc.ttl={_TTL_S}"
            url = f"{origin.scheme}://{origin.server}/{origin.path}{MARK}{origin.parameters}"
            source = End(self._calls, _with(url, grant), place)
            try:
                await source.open_with(_READ)
            except HoldfastError as error:
                raise _of_the_source(error, place) from error
            await destination.sync()
            await destination.fetched(origin.size, progress)
        except BaseException:
            await carried_out(destination.call_off())
            raise
        finally:
            if source is not None:
                await source.close()
            await destination.close()

    async def _full(self, path: str, size: int, place: str) -> HoldfastError | None:
        """NoSpace if there is less room than the file takes: servers say anything but that."""
        free = await self._door.free_bytes(path)
        if free is None or free >= size:
            return None
        return NoSpace(f"the storage has room for {free} bytes, and not for {size}", place=place)


class _Watch:
    """How far a copy is, and whether it goes on."""

    def __init__(self, calls: Calls, size: int) -> None:
        self._now = asyncio.get_running_loop().time
        self._limit_s = calls.patience_s(0)
        self.patience_s = calls.patience_s(size)
        self.size = 0
        self._grown_at = self._now()

    def saw(self, size: int) -> None:
        """So many bytes are there now."""
        if size > self.size:
            if self.size:
                self.patience_s = self._limit_s
            self.size, self._grown_at = size, self._now()

    @property
    def is_stalled(self) -> bool:
        """Whether it has not grown for too long."""
        return self._now() - self._grown_at > self.patience_s


def _require(answer: CallAnswer, place: str) -> None:
    if not answer.ok:
        error = meaning(answer.status, place)
        raise type(error)(f"the copy between storages failed: {error.message}", place=place, hint=error.hint)


def _of_the_source(error: HoldfastError, place: str) -> HoldfastError:
    """What goes wrong at the source is not called ours."""
    message = f"the other storage: {error.message}"
    if isinstance(error, NotThere | NotAFile):
        return type(error)(message, place=place)
    if isinstance(error, NotAllowed):
        return FarNotAllowed(message, place=place)
    return PeerError(message, place=place)


def _known(far: FarFile, place: str) -> str:
    """The address of the other end; BadInput if it is none of this protocol."""
    if far.url.partition("://")[0].lower() not in _SCHEMES:
        raise BadInput("the other storage is not reached over XRootD", place=place)
    return far.url


def _with(url: str, parameters: str) -> str:
    return f"{url}{'&' if MARK in url else MARK}{parameters}"


def _parts(url: str) -> tuple[str, str, str]:
    """Scheme, server and path; nothing in an address of this protocol is encoded, and nothing but ``?`` ends a path."""
    scheme, _, rest = url.partition(MARK)[0].partition("://")
    server, _, path = rest.partition("/")
    return scheme.removeprefix("x"), server, f"/{path.strip('/')}"


def _host(url: str) -> str:
    """The host in an address, without its port, as the other server sees it."""
    _, server, _ = _parts(url)
    host = server.rpartition(":")[0] if not server.endswith("]") and ":" in server else server
    return "127.0.0.1" if host == "localhost" else host

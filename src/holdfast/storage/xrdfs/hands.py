"""XrdfsHands: an XRootD server, reached with the programs ``xrdfs`` and ``xrdcp``.

Rules
  * At most ``CALLS_MAX`` programs are busy at once; further calls wait.
  * What a shell can be told goes through a shell that is kept open; other
    names, and everything where shells do not work, through a program a call.
  * Bytes go through ``xrdcp``, from and to its pipes.
  * Programs see the proxy, token and authorities of the site and nobody
    else's; what is secret is in files, never in arguments.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from holdfast.model.checksums import Checksums
from holdfast.model.errors import PeerError
from holdfast.storage import program
from holdfast.storage.access import Access
from holdfast.storage.digest import ALGORITHMS
from holdfast.storage.driver import (
    CHUNK_BYTES,
    Capabilities,
    DirectoryNames,
    Stat,
    Unsupported,
)
from holdfast.storage.guarded.hands import Heard, Unclear
from holdfast.storage.program import NOWHERE, Program, Running, gathered, within
from holdfast.storage.xrdfs import errors as xrdfs_errors
from holdfast.storage.xrdfs import replies as xrdfs_replies
from holdfast.storage.xrdfs.shell import NoShell, Reply, Shells, is_plain
from holdfast.storage.xroot.address import MARK, Address
from holdfast.storage.xroot.listing import CUT_AT_BYTES, SECOND_NS

CALLS_MAX = 8
PACKAGE = "xrootd-client"
SLACK_S = 1.0
"""How much later than the tool's own limit ours comes: its words say more."""

CAPABILITIES = Capabilities(
    follows_links=True,
    checksums=ALGORITHMS,
    told=ALGORITHMS - {"blake3"},
    second_look=True,
    calls_max=CALLS_MAX,
    mtime_resolution_ns=SECOND_NS,
    not_in_paths=MARK,
    listed_bytes_max=CUT_AT_BYTES,
)

_ALL = "-D"
"""Names that a redirector was told by several servers are else shown once."""
_DIRECTORY_MODE = "-mrwxr-xr-x"


class XrdfsHands:
    """The folder at ``address``, as whoever ``access`` says."""

    def __init__(self, address: Address, access: Access, *, shells: bool = True) -> None:
        self._address = address
        self._access = access
        settings = access.settings
        self._limit_s = settings.connect_timeout_s + settings.call_timeout_s + SLACK_S
        self._free = asyncio.Semaphore(CALLS_MAX)
        self._server = f"{address.scheme}://{address.host}"
        self._shells: Shells | None = Shells(self._server) if shells else None

    @property
    def capabilities(self) -> Capabilities:
        """Everything but permissions."""
        return CAPABILITIES

    @property
    def pids(self) -> set[int]:
        """The programs that are kept open."""
        return self._shells.pids if self._shells else set()

    async def list(self, path: str) -> Heard:
        """``ls -l``."""
        directory = self._address.path(path)
        reply = await self._ask("ls", "-l", _ALL, directory)
        doubt = "the server called its answer incomplete" if xrdfs_errors.is_partial(reply.err) else ""
        return replace(xrdfs_replies.listing(reply.out, directory), doubt=doubt)

    async def names(self, path: str) -> DirectoryNames:
        """``ls``."""
        directory = self._address.path(path)
        return xrdfs_replies.only_names((await self._ask("ls", _ALL, directory)).out, directory)

    async def stat(self, path: str) -> Stat:
        """``stat``."""
        return xrdfs_replies.stat((await self._ask("stat", self._address.path(path))).out)

    async def told(self, path: str, algorithm: str) -> Checksums:
        """``query checksum``; nothing if the server does not have that algorithm."""
        try:
            reply = await self._ask("query", "checksum", f"{self._address.path(path)}{MARK}cks.type={algorithm}")
        except (Unclear, Unsupported):
            return {}
        return xrdfs_replies.digest(reply.out, algorithm)

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """``xrdcp`` to a pipe."""
        async with self._xrdcp(self._url(path), "-") as running:
            complaints = asyncio.ensure_future(running.stderr.read())
            try:
                while data := await within(self._limit_s, gathered(running.stdout)):
                    yield data
                await self._require_success(running, complaints)
            finally:
                complaints.cancel()

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> None:
        """``xrdcp`` from a pipe; it replaces nothing."""
        async with self._xrdcp("-", self._url(path), feed=True) as running:
            complaints = asyncio.ensure_future(running.stderr.read())
            try:
                # A program that has given up has closed its end; why, it says itself.
                with suppress(BrokenPipeError, ConnectionResetError):
                    await self._feed(running, chunks)
                await self._require_success(running, complaints)
            finally:
                complaints.cancel()

    async def move(self, source: str, target: str) -> None:
        """``mv``, which replaces files and makes directories."""
        await self._ask("mv", self._address.path(source), self._address.path(target))

    async def remove(self, path: str) -> None:
        """``rm``, which also removes an empty directory."""
        await self._ask("rm", self._address.path(path))

    async def make_directories(self, path: str) -> None:
        """``mkdir -p``, which complains if it is there."""
        await self._ask("mkdir", "-p", _DIRECTORY_MODE, self._address.path(path))

    async def remove_directory(self, path: str) -> None:
        """``rmdir``, for which nothing is as good as an empty directory."""
        await self._ask("rmdir", self._address.path(path))

    async def close(self) -> None:
        """End the shells."""
        if self._shells:
            await self._shells.close()

    # Asking.

    async def _ask(self, *words: str) -> Reply:
        """What xrdfs answers; an error if it complains."""
        async with self._free:
            tool = Program("xrdfs", PACKAGE, await self._environment())
            reply = await self._reply(tool, words)
        error = xrdfs_errors.meaning(reply.err)
        if error:
            raise error
        return reply

    async def _reply(self, tool: Program, words: Sequence[str]) -> Reply:
        if self._shells and is_plain(words):
            try:
                return await self._shells.ask(tool, words, limit_s=self._limit_s)
            except NoShell:
                self._shells = None
        ended = await program.run(
            tool, [self._server, *words], limit_s=self._limit_s, output_bytes_max=program.BUFFER_BYTES
        )
        if ended.code and not xrdfs_errors.complaint(ended.err):
            raise PeerError(f"xrdfs ended with {ended.code} and did not say why")
        return Reply(ended.out, ended.err)

    async def _environment(self) -> dict[str, str]:
        proxy = await self._access.proxy()
        # Read, renewed and judged here; the program reads the file itself, so that it stands in nobody's list of
        # processes.
        await self._access.token()
        settings = self._access.settings
        connect_s, call_s = math.ceil(settings.connect_timeout_s), math.ceil(settings.call_timeout_s)
        found = program.environment(
            BEARER_TOKEN_FILE=str(settings.token or NOWHERE),
            XRD_CONNECTIONWINDOW=str(connect_s),
            XRD_CONNECTIONRETRY="1",
            XRD_REQUESTTIMEOUT=str(call_s),
            XRD_STREAMTIMEOUT=str(call_s),
            # A server that was away is asked again as soon as somebody wants something of it.
            XRD_STREAMERRORWINDOW="0",
            XRD_TIMEOUTRESOLUTION="1",
            # Else the contents of a file with a name like x.meta4 decide what is read in its place, and from whom.
            XRD_METALINKPROCESSING="0",
        )
        # With TLS the tool insists on the file that is named, so there is no way to say "none": it then takes the
        # proxy of its user from the usual place, if there is one.
        if proxy is not None or not self._address.scheme.endswith("s"):
            found["X509_USER_PROXY"] = str(proxy or NOWHERE)
        authorities = settings.authorities
        if authorities:
            found["X509_CERT_DIR" if authorities.is_dir() else "X509_CERT_FILE"] = str(authorities)
        return found

    # Bytes.

    @asynccontextmanager
    async def _xrdcp(self, source: str, target: str, *, feed: bool = False) -> AsyncIterator[Running]:
        async with self._free:
            tool = Program("xrdcp", PACKAGE, await self._environment())
            async with program.running(tool, ["--silent", "--nopbar", source, target], feed=feed) as running:
                yield running

    async def _feed(self, running: Running, chunks: AsyncIterable[bytes]) -> None:
        async for chunk in chunks:
            for start in range(0, len(chunk), CHUNK_BYTES):
                running.stdin.write(chunk[start : start + CHUNK_BYTES])
                await within(self._limit_s, running.stdin.drain())
        running.stdin.close()
        await within(self._limit_s, running.stdin.wait_closed())

    async def _require_success(self, running: Running, complaints: asyncio.Future[bytes]) -> None:
        code = await within(self._limit_s, running.ended())
        if code:
            said = await within(self._limit_s, complaints)
            raise xrdfs_errors.meaning(said) or PeerError(f"xrdcp ended with {code} and did not say why")

    def _url(self, path: str) -> str:
        return f"{self._server}/{self._address.path(path)}"

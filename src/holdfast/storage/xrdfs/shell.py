"""Shells: ``xrdfs`` kept open, so that a request costs a round trip and not a program.

A shell reads commands and prints, for each: its prompt, the command, what it
has to say, and the next prompt. Where an answer ends is found by asking, right
behind each command, for a command that does not exist and that nobody could
have guessed: the echo of it ends the answer, and the complaint about it ends
the complaints.

Rules
  * Of one shell one thing is asked at a time. A shell of which the answer was
    not waited for, or was not understood, is ended.
  * Only words that the shell takes as they are go through it (``is_plain``).
  * A shell that does not repeat what it reads (built without that library) is
    found out when it is opened: NoShell.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from holdfast.model.errors import PeerError
from holdfast.storage import program
from holdfast.storage.program import Program, Running, within

OPEN_LIMIT_S = 20.0
"""How long a shell may take to be there; that asks nothing of any server."""

# Printable ASCII without quotes: everything else is changed, swallowed or cut on the way in.
_PLAIN = re.compile(r"[ !#-&(-~]+\Z")
_COLUMNS = "100000"
"""A line longer than this would be shown in part."""


class NoShell(PeerError):
    """This xrdfs cannot be talked to line by line."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What was printed, and what was complained of."""

    out: bytes
    err: bytes


def is_plain(words: Sequence[str]) -> bool:
    """Whether a shell takes these words as they are."""
    return all(_PLAIN.match(word) for word in words)


class Shell:
    """One ``xrdfs`` that waits for commands."""

    def __init__(self, running: Running, environment: Mapping[str, str]) -> None:
        self._running = running
        self.environment = environment
        self._complaint = b""

    @classmethod
    async def open(cls, tool: Program, server: str) -> Shell:
        """A shell that answers; NoShell if it does not."""
        environment = {**tool.environment, "TERM": "dumb", "COLUMNS": _COLUMNS, "LINES": "100", "INPUTRC": "/dev/null"}
        tool = Program(tool.name, tool.package, environment)
        shell = cls(await program.start(tool, ["--no-cwd", server], feed=True), tool.environment)
        try:
            async with asyncio.timeout(OPEN_LIMIT_S):
                mark = _mark()
                shell._running.stdin.write(mark + b"\n")
                await shell._running.stdout.readuntil(mark + b"\n")
                shell._complaint = await shell._running.stderr.readuntil(b"\n")
        except (TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            await shell.close()
            raise NoShell("xrdfs does not take commands one after the other") from error
        except BaseException:
            await shell.close()
            raise
        return shell

    @property
    def pid(self) -> int:
        """Its process."""
        return self._running.pid

    @property
    def is_alive(self) -> bool:
        """Whether it may be asked something."""
        return self._running.is_alive

    async def ask(self, words: Sequence[str], *, limit_s: float) -> Reply:
        """What it answers to a command; PeerError if it says nothing in time. Whatever is raised, it has ended."""
        try:
            return await within(limit_s, self._ask(" ".join(f'"{word}"' for word in words)))
        except BaseException:
            await self.close()
            raise

    async def _ask(self, line: str) -> Reply:
        mark = _mark()
        try:
            self._running.stdin.write(line.encode("ascii") + b"\n" + mark + b"\n")
            out = await self._running.stdout.readuntil(mark + b"\n")
            err = await self._running.stderr.readuntil(self._complaint)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise PeerError("xrdfs ended in the middle of an answer") from error
        # Before it the prompt with the echo of the command, behind it the next prompt with that of the mark.
        _, _, printed = out.removesuffix(mark + b"\n").partition(b"\n")
        printed, newline, prompt = printed.rpartition(b"\n")
        if not prompt.endswith(b" > "):
            raise PeerError("xrdfs answers in an unknown way")
        return Reply(printed + newline, err.removesuffix(self._complaint))

    async def close(self) -> None:
        """End it."""
        await self._running.end()


class Shells:
    """A few shells of one server, opened when they are needed, the last used first."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._idle: list[Shell] = []
        self._all: set[Shell] = set()

    @property
    def pids(self) -> set[int]:
        """The processes there are."""
        return {shell.pid for shell in self._all}

    async def ask(self, tool: Program, words: Sequence[str], *, limit_s: float) -> Reply:
        """What some shell with the environment of ``tool`` answers."""
        shell = await self._take(tool)
        try:
            reply = await shell.ask(words, limit_s=limit_s)
        except BaseException:
            self._all.discard(shell)
            raise
        self._idle.append(shell)
        return reply

    async def close(self) -> None:
        """End them all, also those that are being asked something."""
        while self._all:
            await self._all.pop().close()
        self._idle.clear()

    async def _take(self, tool: Program) -> Shell:
        while self._idle:
            shell = self._idle.pop()
            # Credentials are in the environment: one that was opened with others is of no use.
            if shell.is_alive and tool.environment.items() <= shell.environment.items():
                return shell
            self._all.discard(shell)
            with suppress(OSError):
                await shell.close()
        shell = await Shell.open(tool, self._server)
        self._all.add(shell)
        return shell


def _mark() -> bytes:
    return b"mark" + secrets.token_hex(12).encode()

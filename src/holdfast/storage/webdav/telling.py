"""Telling: the digests that a WebDAV server says of its files, asked for with HEAD.

Rules
  * Each algorithm is asked for alone, one after the other: many servers answer
    one only, and XRootD, asked for two at once, has answered one with the value
    of the other.
  * An answer counts if it names that very algorithm, and says no second value.
  * A server may read a whole file before it answers: it is waited for as long
    as that takes at SLOWEST_BYTES_PER_S, beside the time limit of a call.
  * Only files are asked about: XRootD up to 5.5, asked for the digest of a
    directory, may never answer.
  * A server that is in trouble (500 and up) has not said that it knows none:
    ``first`` fails then.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.storage import told
from holdfast.storage.driver import NOT_TOLD, Digest, Stat
from holdfast.storage.webdav import members as webdav_members
from holdfast.storage.webdav.door import Reply, WebDavDoor

SLOWEST_BYTES_PER_S = 20_000_000

NAMES = {"adler32": "adler32", "crc32c": "crc32c", "md5": "md5", "sha256": "sha-256"}
"""Algorithms that have a name in HTTP, with that name."""

_HEADERS = ("Digest", "Repr-Digest")
_IN_TROUBLE = 500
_NOT_THERE = frozenset({404, 410})


class Telling:
    """What the server behind one door says of contents."""

    def __init__(self, door: WebDavDoor) -> None:
        self._door = door
        self._known: dict[str, None] = {}
        """Algorithms that were told by this server."""

    async def all(self, path: str, algorithms: Sequence[str], size: int) -> dict[str, str]:
        """Of each algorithm what the server says, if anything. ``size``: of the file, as far as is known."""
        found: dict[str, str] = {}
        for algorithm in algorithms:
            if algorithm in NAMES:
                async with self._door.ask(
                    "HEAD", path, headers=_wanted(algorithm), silence_s=self._patience_s(size)
                ) as reply:
                    answer = _answer(reply, algorithm) if reply.status == 200 else ""
                if answer:
                    found[algorithm] = answer
        return found

    async def first(self, path: str, algorithms: Sequence[str], stat: Stat, size: int) -> Digest:
        """The first of the algorithms that the server tells of the file that ``stat`` was said of, if any."""
        wanted = [each for each in algorithms if each in NAMES]
        for algorithm in sorted(wanted, key=lambda each: each not in self._known):
            async with self._door.ask(
                "HEAD", path, headers=_wanted(algorithm), silence_s=self._patience_s(max(size, stat.size))
            ) as reply:
                if reply.status in _NOT_THERE or reply.status >= _IN_TROUBLE:
                    raise self._door.refusal(reply, path)
                answer = _answer(reply, algorithm) if reply.status == 200 else ""
                length = webdav_members.size_of(reply.headers.get("Content-Length", ""))
            if answer:
                self._known[algorithm] = None
                stat = stat if length == NOT_TOLD else stat._replace(size=length)
                return Digest({algorithm: answer}, stat, frozenset({algorithm}))
        return Digest({}, stat)

    def _patience_s(self, size: int) -> float:
        return self._door.silence_s + max(size, 0) / SLOWEST_BYTES_PER_S


def _wanted(algorithm: str) -> dict[str, str]:
    name = NAMES[algorithm]
    return {"Want-Digest": name, "Want-Repr-Digest": f"{name}=9"}


def _answer(reply: Reply, algorithm: str) -> str:
    """What the server says of this algorithm; "" if nothing, or two things."""
    said = [told.from_digest_header(text) for header in _HEADERS for text in reply.headers.getall(header, [])]
    said += [told.from_column(text) for text in reply.headers.getall("OC-Checksum", [])]
    answers = {each.checksums.get(algorithm, "") for each in said} - {""}
    return answers.pop() if len(answers) == 1 else ""

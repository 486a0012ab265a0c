"""Pumping: one file from one blocking driver to another, in one thread.

What ``read``, hashing and ``write`` do for each chunk with three trips to a
thread is done here for many chunks in one.

Rules
  * What the source raises is FromSource; all else is of the destination.
  * The new file gets its name only if the bytes were those of the inventory.
  * ``discard`` removes whatever is not finished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from holdfast.model.errors import HoldfastError
from holdfast.storage.abilities import BlockingDriver, BlockingReader, BlockingWriter
from holdfast.storage.digest import Hasher
from holdfast.storage.driver import CHUNK_BYTES

TRIP_BYTES = 8 << 20
"""How many bytes pass before anybody hears of them, or can stop them."""

NEAR_BYTES = 1 << 18
"""What is hashed here and now passes in pieces that stay in the cache of the processor."""


SLOWEST_BYTES_PER_S = 10_000_000
"""As fast as that any disk takes what is brought to it in the end."""


class FromSource(HoldfastError):
    """What the source has raised is its cause."""

    def __init__(self, error: HoldfastError) -> None:
        super().__init__(error.message, place=error.place)
        self.error = error


class Pump:
    """One file on its way. ``compare`` raises unless size and checksums are those of the file; ``size`` is its own.

    ``beside`` hashes in a thread of its own, for checksums that take longer than handing the bytes over; None: here.
    """

    def __init__(
        self,
        source: tuple[BlockingDriver, str],
        destination: tuple[BlockingDriver, str],
        size: int,
        hasher: Hasher,
        compare: Callable[[int, dict[str, str]], None],
        beside: ThreadPoolExecutor | None,
    ) -> None:
        self._source, self._destination = source, destination
        self._size = size
        self._hasher = hasher
        self._compare = compare
        self._beside = beside
        self._reader: BlockingReader | None = None
        self._writer: BlockingWriter | None = None
        self._buffer = memoryview(bytearray(min(size + 1, NEAR_BYTES if beside is None else CHUNK_BYTES)))
        self.n_bytes = 0
        """What has passed so far."""

    def trip(self) -> bool:
        """The next TRIP_BYTES, blocking; whether there may be more."""
        reader, writer = self._opened()
        end = self.n_bytes + TRIP_BYTES
        while self.n_bytes < end:
            with _from_source():
                count = reader.next_into(self._buffer)
            if not count:
                with _from_source():
                    reader.verify()
                    self._compare(self.n_bytes, self._hasher.hexdigests())
                writer.finish()
                self._writer = None
                return False
            self.n_bytes += count
            if self.n_bytes > self._size:
                with _from_source():
                    self._compare(self.n_bytes, {})
            self._pass(writer, self._buffer[:count])
        return True

    def patience_s(self) -> float:
        """How long nothing may be heard beyond the usual: while what has passed is brought to the disk."""
        return self._size / SLOWEST_BYTES_PER_S if self.n_bytes >= self._size else 0.0

    def discard(self) -> None:
        """Let go of both ends; blocking. What is not finished is removed."""
        if self._reader is not None:
            self._reader.close()
        if self._writer is not None:
            self._writer.discard()

    def _opened(self) -> tuple[BlockingReader, BlockingWriter]:
        if self._reader is None:
            with _from_source():
                self._reader = self._source[0].open_reader(self._source[1])
        if self._writer is None:
            self._writer = self._destination[0].open_writer(self._destination[1])
        return self._reader, self._writer

    def _pass(self, writer: BlockingWriter, data: memoryview) -> None:
        if self._beside is None:
            self._hasher.update(data)
            writer.append(data)
            return
        hashing = self._beside.submit(self._hasher.update, data)
        try:
            writer.append(data)
        finally:
            hashing.result()


@contextmanager
def _from_source() -> Iterator[None]:
    try:
        yield
    except HoldfastError as error:
        raise FromSource(error) from error

"""LocalWorker: the process that lists packets of a local tree, one after the other.

It is a fresh interpreter, started with a socket on which it gets its task and
then packets, and answers each with what became of it, or with the error that
ends it.

Rules
  * Anything that comes while it is at a packet means: hurry, and give back what
    is left. That is so, too, when whoever started it is gone; then nobody takes
    the answer, and it ends.
"""

from __future__ import annotations

import gc
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow as pa

from holdfast.model.errors import HoldfastError
from holdfast.storage.listing.local_packet import LocalPacket, Task
from holdfast.storage.listing.part_files import told_of
from holdfast.storage.posix.rooted import Rooted

HURRY = "hurry"


def main(handle: int) -> None:
    """Serve the other end of the socket ``handle`` until it is closed."""
    connection = Connection(handle)
    # An interrupt at the terminal reaches us, too; whoever started us decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_cpu_count(1)
    try:
        _serve(connection)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass


def _serve(connection: Connection) -> None:
    root: Path
    task: Task
    root, task = connection.recv()
    rooted = Rooted(root)
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    while True:
        packet = connection.recv()
        if packet == HURRY:  # For the packet before, which was done already.
            continue
        try:
            with without_collecting(), told_of(task.folder):
                answer: object = LocalPacket(rooted, task, lambda: bool(poll.poll(0)), lambda: _is_left(poll)).walk(
                    packet
                )
        except HoldfastError as error:
            answer = error
        connection.send(answer)


def _is_left(poll: select.poll) -> bool:
    """Whether whoever started us is gone."""
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


@contextmanager
def without_collecting() -> Iterator[None]:
    """Nearly all objects of a packet die by themselves; looking for those that do not would take long."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()

"""Ports of the loopback for servers of tests, none given twice while it may be in use.

Ports that the system hands out for outgoing connections are left alone: one of
them may be taken between our look and the server's start, and then whoever
asks at the port speaks with a stranger. Other processes of tests see by a lock
on a file which ports are given.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

FIRST, LAST = 12_000, 32_000
"""Below what Linux hands out itself, which begins at 32768."""

_given: list[int] = []
"""Locks that last as long as this process."""


def free_port() -> int:
    """A port of the loopback that nobody listens at, and that no other process of tests is given while we live."""
    folder = Path(tempfile.gettempdir()) / f"holdfast-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for port in random.SystemRandom().sample(range(FIRST, LAST), LAST - FIRST):
        lock = os.open(folder / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(lock)
            continue
        _given.append(lock)
        return port
    raise RuntimeError("no port of the loopback is free")

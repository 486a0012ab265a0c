"""PostgresNews: waiting for a commit of anybody, by LISTEN on a connection of its own.

Rules
  * What the table says counts, a notification only says when to look: one that is lost costs time, never news.
  * Without any notification the head is looked at every LOOK_EVERY_S: listening may have failed unnoticed.
  * While the database is away there is no news; connecting is tried again until the time is over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import select

from holdfast.inventory import schema

LOOK_EVERY_S = 2.0
TRY_AGAIN_S = 0.1

_LOOK = str(select(schema.head.c.position)).encode()


@contextmanager
def kept_if_sound(made: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """A new connection, closed if what is said first on it fails."""
    try:
        yield made
    except BaseException:
        made.close()
        raise


class PostgresNews:
    """Connections that listen, one for each thread that waits at the same time."""

    def __init__(
        self,
        connect: Callable[..., psycopg.Connection[Any]],
        channel_query: str,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._channel_query = channel_query
        self._now = now
        self._mutex = threading.Lock()
        self._idle: list[psycopg.Connection[Any]] = []
        self._closed = threading.Event()

    def wait(self, after: int, timeout_s: float) -> bool:
        """Whether the head is beyond ``after``, as soon as it is or when the time is over."""
        deadline = self._now() + timeout_s
        while not self._closed.is_set():
            listener: psycopg.Connection[Any] | None = None
            try:
                listener = self._listener()
                found = self._listen(listener, after, deadline)
            except psycopg.Error:
                found = None
            finally:
                self._put_back(listener)
            if found is not None:
                return found
            left_s = deadline - self._now()
            if left_s <= 0:
                return False
            self._closed.wait(min(TRY_AGAIN_S, left_s))
        return False

    def close(self) -> None:
        """End all waiting."""
        self._closed.set()
        with self._mutex:
            idle, self._idle = self._idle, []
        for listener in idle:
            listener.close()

    def _listen(self, listener: psycopg.Connection[Any], after: int, deadline: float) -> bool:
        while not self._closed.is_set():
            row = listener.execute(_LOOK).fetchone()
            if row is not None and row[0] > after:
                return True
            left_s = deadline - self._now()
            if left_s <= 0:
                return False
            for _ in listener.notifies(timeout=min(LOOK_EVERY_S, left_s), stop_after=1):
                pass
        return False

    def _listener(self) -> psycopg.Connection[Any]:
        with self._mutex:
            if self._idle:
                return self._idle.pop()
        with kept_if_sound(self._connect(autocommit=True)) as made:
            row = made.execute(self._channel_query.encode()).fetchone()
            if row is not None and row[0] is not None:
                made.execute(sql.SQL("LISTEN {}").format(sql.Identifier(row[0])))
            return made

    def _put_back(self, listener: psycopg.Connection[Any] | None) -> None:
        if listener is None:
            return
        with self._mutex:
            if not listener.closed and not self._closed.is_set():
                self._idle.append(listener)
                return
        listener.close()

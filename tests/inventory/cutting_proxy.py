"""CuttingProxy: a line to PostgreSQL that breaks when told to.

It forwards bytes until a message of the client contains the words it was armed
with. Then the line is cut: before the message has gone to the server, or after
the server has answered it and before the client hears of that.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

COMMIT = b"COMMIT\0"


def _nothing() -> None:
    """Nothing happens when the line is cut."""


class CuttingProxy:
    """A port of our own before the server's."""

    def __init__(self, server_port: int) -> None:
        self._server = ("127.0.0.1", server_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.n_cuts = 0
        self._words = b""
        self._is_answered = False
        self._when_cut: Callable[[], None] = _nothing
        self._then_refuse = self._refuses = False
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(
        self, words: bytes, *, after: bool, when_cut: Callable[[], None] = _nothing, then_refuse: bool = False
    ) -> None:
        """Cut the line, once, at the next message with ``words``; nobody comes through any more if told to refuse."""
        self._is_answered, self._when_cut, self._then_refuse = after, when_cut, then_refuse
        self._words = words

    def allow(self) -> None:
        """Let everybody through again."""
        self._refuses = False

    def close(self) -> None:
        """Accept nobody any more."""
        self._listener.close()

    def url(self, url: str, server_port: int) -> str:
        """The same database through this line."""
        return url.replace(f":{server_port}/", f":{self.port}/")

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = self._connected()
                if server is None:
                    client.close()
                    continue
                line = (client, server, threading.Event())
                threading.Thread(target=self._to_server, args=line, daemon=True).start()
                threading.Thread(target=self._to_client, args=line, daemon=True).start()

    def _connected(self) -> socket.socket | None:
        with suppress(OSError):
            return None if self._refuses else socket.create_connection(self._server)
        return None

    def _to_server(self, client: socket.socket, server: socket.socket, is_cut: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if self._words and self._words in data:
                    self._words = b""
                    self._refuses = self._then_refuse
                    if self._is_answered:
                        is_cut.set()
                        server.sendall(data)
                        return  # The other direction hears the answer and hangs up.
                    self._cut(client, server)
                    return
                server.sendall(data)
        self._hang_up(client, server)

    def _to_client(self, client: socket.socket, server: socket.socket, is_cut: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if is_cut.is_set():
                    self._cut(client, server)
                    return
                client.sendall(data)
        self._hang_up(client, server)

    def _cut(self, client: socket.socket, server: socket.socket) -> None:
        self._hang_up(server)
        self._when_cut()
        self.n_cuts += 1
        self._hang_up(client, server)

    def _hang_up(self, *ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

"""GatedLine: a port before a server's, whose traffic can be held up, cut off and let through again."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType


class GatedLine:
    """A line to a port of this machine; open to begin with."""

    def __init__(self, server_port: int) -> None:
        self._server = ("127.0.0.1", server_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._flows = threading.Event()
        self._flows.set()
        self._is_cut = False
        self._mutex = threading.Lock()
        self._ends: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self) -> None:
        """Nothing gets through, and nobody is told: as when the server's machine stands still."""
        self._flows.clear()

    def cut(self) -> None:
        """Every connection breaks, and new ones are refused."""
        with self._mutex:
            self._is_cut = True
            ends = list(self._ends)
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        """Let everything through again."""
        self._is_cut = False
        self._flows.set()

    def close(self) -> None:
        """End it all."""
        self.cut()
        self._flows.set()
        self._listener.close()

    def __enter__(self) -> GatedLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._begin(client)

    def _begin(self, client: socket.socket) -> None:
        with self._mutex:
            if self._is_cut:
                client.close()
                return
            try:
                server = socket.create_connection(self._server)
            except OSError:
                client.close()
                return
            self._ends |= {client, server}
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._flows.wait()
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._mutex:
            self._ends.discard(source)
        source.close()

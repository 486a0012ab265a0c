"""MotoServer: an object store for tests, kept in the memory of a process of its own.

It is ``moto``, which knows most of what Amazon's store does, conditional
requests and checksums included; signatures it does not check.

Rules
  * It listens on the loopback at a free port, the same after a restart; what it
    held is gone then.
  * At the end it is killed, also if the process that started it dies.
"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.testing.servers.child_server import ChildServer
from holdfast.testing.servers.ports import free_port
from holdfast.testing.servers.xrootd_server import guarded_folder

KEYS = ("test-id", "test-secret")

_SERVE = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
# With the version before, which it speaks by default, every request is a connection of its own.
WSGIRequestHandler.protocol_version = "HTTP/1.1"
application = DomainDispatcherApplication(create_backend_app)
make_server("127.0.0.1", int(sys.argv[1]), application, threaded=True).serve_forever()
"""


class MotoServer(ChildServer):
    """One store and the process that is it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._n_buckets = 0
        self.port = free_port()

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """A program that serves until it is ended; what it held before is gone with it."""
        return [sys.executable, "-c", _SERVE, str(self.port), str(self._log)]

    def new_bucket(self) -> str:
        """The name of a new, empty bucket."""
        self._n_buckets += 1
        name = f"bucket-{self._n_buckets}"
        if self._asked("PUT", f"/{name}") != 200:
            raise RuntimeError(f"moto makes no bucket {name}")
        return name

    def root(self, bucket: str, prefix: str = "", **options: str) -> str:
        """The root of a door to a bucket."""
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return f"s3://{bucket}/{prefix}?endpoint={self.endpoint}&allow_http=true{more}"

    def answers(self) -> bool:
        """Whether it takes requests by now."""
        try:
            return self._asked("GET", "/moto-api/data.json") == 200
        except OSError:
            return False

    def _asked(self, method: str, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            # The scope of a signature is how it tells which of its services is meant.
            scope = f"Credential={KEYS[0]}/20260101/us-east-1/s3/aws4_request"
            signature = f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"
            connection.request(method, path, headers={"Authorization": signature})
            return connection.getresponse().status
        finally:
            connection.close()


@contextmanager
def moto_server() -> Iterator[MotoServer]:
    """A server that runs; gone at the end, also if this process dies."""
    with guarded_folder("holdfast-moto-") as folder:
        server = MotoServer(folder)
        try:
            server.start()
            yield server
        finally:
            server.kill()

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
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.testing.servers.ports import free_port
from holdfast.testing.servers.stopping import wait_until_stopped
from holdfast.testing.servers.xrootd_server import guarded_folder

KEYS = ("test-id", "test-secret")
START_S = 60.0

_SERVE = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
# With the version before, which it speaks by default, every request is a connection of its own.
WSGIRequestHandler.protocol_version = "HTTP/1.1"
application = DomainDispatcherApplication(create_backend_app)
make_server("127.0.0.1", int(sys.argv[1]), application, threaded=True).serve_forever()
"""


class MotoServer:
    """One store and the process that is it."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._n_buckets = 0
        self.port = free_port()

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                # The guard knows it by the folder.
                [sys.executable, "-c", _SERVE, str(self.port), str(self._log)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"moto does not start:\n{self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)
            self._process = None

    def restart(self) -> None:
        """Start it again, empty, whether it runs, is frozen or is gone."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections are taken, and nothing comes back."""
        self._signal(signal.SIGSTOP)
        assert self._process is not None
        wait_until_stopped(self._process.pid)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

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

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
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

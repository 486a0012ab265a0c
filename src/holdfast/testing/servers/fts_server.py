"""FtsServer: a stand-in of FTS3 for tests, whose REST interface is that of the real one, over https.

It takes jobs, and really copies files between folders that stand for storages:

    with fts_server(authority) as server:
        folder = server.storage("davs://bern.test:443/data")

Rules
  * It runs in a process of its own, is frozen, killed and started again at will,
    and remembers its jobs, and what was delegated to it.
  * It listens on the loopback at a free port that stays over a restart.
  * What it writes anybody may change: other servers of the tests serve the same
    folders, as other users.
  * Faults are those of ``fts_faults``. A started service has none.
  * At the end it is killed and its folder removed, also if the process that
    started it dies.

FTS3's own client from PyPI drives it in the tests, so that it is more than our
opinion of FTS3.
"""

from __future__ import annotations

import http.client
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from holdfast.testing.servers.child_server import ChildServer
from holdfast.testing.servers.ports import free_port
from holdfast.testing.servers.test_authority import TestAuthority
from holdfast.testing.servers.xrootd_server import guarded_folder


class FtsServer(ChildServer):
    """One service and its process."""

    def __init__(self, folder: Path, authority: TestAuthority, issuers: Sequence[str] = ()) -> None:
        super().__init__(folder)
        self.folder = folder
        self._configuration = folder / "configuration.json"
        self.authority = authority
        self.port = free_port()
        self._control_port = free_port()
        self._issuers = list(issuers)
        self._prefixes: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://localhost:{self.port}"

    def storage(self, url: str, *, is_tape: bool = False, folder: Path | None = None) -> Path:
        """The folder where the files lie whose addresses begin with ``url``; to be said before it starts."""
        folder = folder or self.folder / f"storage-{len(self._prefixes)}"
        folder.mkdir(exist_ok=True)
        self._prefixes.append({"url": url, "folder": str(folder), "is_tape": is_tape})
        return folder

    def start(self) -> None:
        """Write down what it is made of, start it and wait until it answers; RuntimeError with its log if not."""
        configuration = {
            "folder": str(self.folder),
            "port": self.port,
            "control_port": self._control_port,
            "certificate": str(self.authority.host_certificate),
            "key": str(self.authority.host_key),
            "authorities": str(self.authority.certs),
            "issuers": self._issuers,
            "prefixes": self._prefixes,
        }
        self._configuration.write_text(json.dumps(configuration))
        super().start()

    def command(self) -> list[str]:
        """Our own stand-in, by this Python."""
        return [sys.executable, "-m", "holdfast.testing.servers.fts_app", str(self._configuration)]

    def faults(self, *faults: Mapping[str, Any]) -> None:
        """These, and no others, from now on."""
        self._tell("POST", "/faults", json.dumps(faults))

    def asked(self) -> list[str]:
        """Method and path of each request since it was started."""
        found: list[str] = self._tell("GET", "/asked")
        return found

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs that it knows, also those from before a restart."""
        paths = sorted((self.folder / "jobs").glob("*.json"))
        return [json.loads(path.read_text()) for path in paths]

    def forget(self, job_id: str) -> None:
        """Let it forget a job, as archiving does."""
        self._tell("POST", f"/forget/{job_id}")

    def undelegate(self) -> None:
        """Let it lose what was delegated by whoever has jobs there."""
        self._tell("POST", "/undelegate")

    def reset(self) -> None:
        """As if it were new, but for what was delegated: no jobs, no faults, nothing asked, and empty storages."""
        self._tell("POST", "/reset")
        for prefix in self._prefixes:
            for path in Path(prefix["folder"]).iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def answers(self) -> bool:
        """Whether it takes requests by now."""
        try:
            self._tell("GET", "/asked")
        except OSError:
            return False
        return True

    def _tell(self, method: str, path: str, body: str = "") -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._control_port, timeout=30)
        try:
            connection.request(method, path, body)
            reply = connection.getresponse()
            data = reply.read()
            if reply.status != 200:
                raise RuntimeError(f"the service answers {reply.status}: {data[:1000]!r}")
            return json.loads(data)
        finally:
            connection.close()


@contextmanager
def fts_server(
    authority: TestAuthority,
    *,
    storages: Sequence[str] = (),
    tapes: Sequence[str] = (),
    served: Mapping[str, Path] | None = None,
    issuers: Sequence[str] = (),
) -> Iterator[FtsServer]:
    """A service that runs and knows these storages; gone at the end. Those that are ``served`` have their folders."""
    with guarded_folder("holdfast-fts-") as folder:
        server = FtsServer(folder, authority, issuers)
        for url in (*storages, *tapes):
            server.storage(url, is_tape=url in tapes)
        for url, other in (served or {}).items():
            server.storage(url, folder=other)
        try:
            server.start()
            yield server
        finally:
            server.kill()

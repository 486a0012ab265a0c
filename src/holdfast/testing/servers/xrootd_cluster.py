"""XrootdCluster: a redirector and data servers behind it, each XRootD with its manager of names.

Rules
  * All data servers serve one and the same folder if ``shared``, as they do
    on a parallel file system: then a listing through the redirector may give
    each name once per server. Else each has a folder of its own.
  * The servers copy from and to others, and tell adler32.
  * What ``xrootd_server`` says of users, ports and the end holds here as well.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.testing.servers.ports import free_port
from holdfast.testing.servers.xrootd_server import EXPORT, Daemon, account, guarded_folder

_MANAGER = """
all.role manager
all.manager 127.0.0.1:{manager_port}
cms.delay startup 1 servers {count} lookup 1 full 1
cms.conwait 1
all.export {export}
all.adminpath {folder}/admin
all.pidpath {folder}/run
xrd.port {port}
if exec cmsd
  xrd.port {manager_port}
fi
"""

_SERVER = """
all.role server
all.manager 127.0.0.1:{manager_port}
all.export {export}
all.adminpath {folder}/admin
all.pidpath {folder}/run
oss.localroot {data}
ofs.tpc ttl 60 120 pgm {copier} --server
xrootd.chksum max 2 adler32
xrd.port {port}
if exec cmsd
  xrd.port any
fi
"""


class Node:
    """One member: an xrootd and the cmsd beside it, with one configuration."""

    def __init__(self, folder: Path, prefix: str, configuration: str, *, port: int) -> None:
        self.port = port
        self.url = f"root://127.0.0.1:{port}/{EXPORT}"
        user = account()
        folder.mkdir()
        user.own(folder)
        path = folder / "xrootd.cfg"
        path.write_text(configuration.replace("{folder}", str(folder)))
        instance = f"{prefix}-{folder.name}"
        self.daemons = [Daemon(folder, path, user, instance, program=program) for program in ("cmsd", "xrootd")]

    def start(self) -> None:
        """Start both."""
        for daemon in self.daemons:
            daemon.start()

    def kill(self) -> None:
        """End both as a crash would."""
        for daemon in reversed(self.daemons):
            daemon.kill()

    def log(self) -> str:
        """All that both have written."""
        return "".join(daemon.log() for daemon in self.daemons)


class XrootdCluster:
    """See the module's docstring. ``data`` are the folders that the servers serve as ``/data``, in their order."""

    def __init__(self, folder: Path, *, servers: int, shared: bool) -> None:
        user = account()
        manager_port, port = free_port(), free_port()
        self.folder = folder
        self.data: list[Path] = []
        self.servers: list[Node] = []
        manager = _MANAGER.format(manager_port=manager_port, port=port, count=servers, export=EXPORT, folder="{folder}")
        self.redirector = Node(folder / "manager", folder.name, manager, port=port)
        for number in range(servers):
            root = folder / f"root{0 if shared else number}"
            data = root / EXPORT[1:]
            for each in (root, data):
                each.mkdir(exist_ok=True)
                user.own(each)
            self.data.append(data)
            port = free_port()
            text = _SERVER.format(
                manager_port=manager_port,
                port=port,
                export=EXPORT,
                data=root,
                copier=shutil.which("xrdcp") or "xrdcp",
                folder="{folder}",
            )
            self.servers.append(Node(folder / f"server{number}", folder.name, text, port=port))

    @property
    def root_url(self) -> str:
        """The redirector's door."""
        return self.redirector.url

    def start(self) -> None:
        """Start the redirector and then the servers."""
        for node in (self.redirector, *self.servers):
            node.start()

    def kill(self) -> None:
        """End all."""
        for node in (*self.servers, self.redirector):
            node.kill()

    def log(self) -> str:
        """All that any of them has written."""
        return "".join(node.log() for node in (self.redirector, *self.servers))


@contextmanager
def xrootd_cluster(folder: Path | None = None, *, servers: int = 2, shared: bool = True) -> Iterator[XrootdCluster]:
    """A redirector with servers that run; it may be seconds before it knows them."""
    with guarded_folder("holdfast-xrd-", within=folder) as own:
        cluster = XrootdCluster(own, servers=servers, shared=shared)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.kill()

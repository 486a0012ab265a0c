"""SwiftServer: OpenStack's object store with its S3 interface, for long tests; four servers and memcached.

A real store, made by others than Amazon, on this machine's disk: three servers
that keep objects, containers and accounts, and a proxy that speaks S3.

Rules
  * Only root can start it: it needs a view of ``/etc/swift`` of its own, and its
    servers become the user ``swift``.
  * It listens on the loopback, on free ports, the same after a restart; what it
    held is still there then.
  * At the end it is killed and its folder removed, also if the process that
    started it dies.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from holdfast.testing.servers.ports import free_port
from holdfast.testing.servers.xrootd_server import guarded_folder

KEYS = ("test:tester", "testing")
PROGRAMS = (
    "swift-account-server",
    "swift-container-server",
    "swift-object-server",
    "swift-proxy-server",
    "swift-ring-builder",
    "memcached",
    "unshare",
)
START_S = 60.0

_KINDS = ("account", "container", "object")
_SWIFT = """
[swift-hash]
swift_hash_path_suffix = test
swift_hash_path_prefix = test
[storage-policy:0]
name = Policy-0
default = yes
"""
_STORE = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = swift
swift_dir = {etc}
devices = {devices}
mount_check = false
workers = 1
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
_FILTERS = ("catch_errors", "proxy_logging", "listing_formats", "copy", "bulk", "slo", "dlo", "symlink")
_PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = swift
swift_dir = {etc}
workers = 1
[pipeline:main]
pipeline = catch_errors proxy_logging cache listing_formats s3api tempauth copy bulk slo dlo versioned_writes symlink \
proxy_logging proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
"""


class SwiftServer:
    """One store of one device."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._etc = folder / "etc"
        self._device = folder / "srv" / "d1"
        self._ports = {kind: free_port() for kind in (*_KINDS, "memcached")}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._n_buckets = 0
        self.port = free_port()

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def make(self) -> None:
        """Write down what it is made of."""
        self._etc.mkdir()
        self._device.mkdir(parents=True)
        user = pwd.getpwnam("swift")
        os.chown(self._device, user.pw_uid, user.pw_gid)
        (self._etc / "swift.conf").write_text(_SWIFT)
        filters = "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in _FILTERS)
        proxy = _PROXY.format(port=self.port, etc=self._etc, memcached=self._ports["memcached"]) + filters
        (self._etc / "proxy-server.conf").write_text(proxy)
        for kind in _KINDS:
            port = self._ports[kind]
            text = _STORE.format(kind=kind, port=port, etc=self._etc, devices=self._device.parent)
            (self._etc / f"{kind}-server.conf").write_text(text)
            for order in (["create", "4", "1", "1"], ["add", f"r1z1-127.0.0.1:{port}/d1", "1"], ["rebalance"]):
                subprocess.run(
                    self._seeing(["swift-ring-builder", f"{self._etc}/{kind}.builder", *order]),
                    check=True,
                    capture_output=True,
                )

    def start(self) -> None:
        """Start all of it, with what it held before, and wait until it answers."""
        pid_file = self._folder / "memcached.pid"
        address = ["-l", "127.0.0.1", "-p", str(self._ports["memcached"])]
        self._launch(["memcached", "-u", "nobody", *address, "-P", str(pid_file)])
        for kind in (*_KINDS, "proxy"):
            self._launch(self._seeing([f"swift-{kind}-server", f"{self._etc}/{kind}-server.conf"]))
        deadline = time.monotonic() + START_S
        while not all(_listens(port) for port in (self.port, *self._ports.values())):
            ended = any(process.poll() is not None for process in self._processes)
            if ended or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"Swift does not start:\n{self.log()[-4000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a crash would."""
        # Parents start their workers again, and these are in sessions of their own: until none is left.
        while pids := self._pids():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for process in self._processes:
                process.wait(60)
            time.sleep(0.02)
        self._processes = []

    def restart(self) -> None:
        """Start it again, whether it runs or is gone."""
        self.kill()
        self.start()

    def log(self) -> str:
        """All it has written."""
        return (self._folder / "log").read_text(errors="replace")

    def root(self, bucket: str, prefix: str = "", **options: str) -> str:
        """The root of a door to a bucket."""
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return f"s3://{bucket}/{prefix}?endpoint={self.endpoint}&allow_http=true{more}"

    def _seeing(self, command: list[str]) -> list[str]:
        """The command, for which ``/etc/swift`` is our folder."""
        mount = f'mount --bind "{self._etc}" /etc/swift && exec "$@"'
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount, "sh", *command]

    def _launch(self, command: list[str]) -> None:
        with (self._folder / "log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder, start_new_session=True
                )
            )

    def _pids(self) -> list[int]:
        """Every process whose command line names our folder; those that only wait to be reaped have none."""
        found = []
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if f"{self._folder}/".encode() in line.read_bytes():
                    found.append(int(line.parent.name))
        # The guard of the folder names it too, without the slash.
        return found


@contextmanager
def swift_server() -> Iterator[SwiftServer]:
    """A store that runs; gone at the end, also if this process dies."""
    with guarded_folder("holdfast-swift-") as folder:
        server = SwiftServer(folder)
        try:
            server.make()
            server.start()
            yield server
        finally:
            server.kill()


def missing() -> str:
    """What it would need and is not there; "" if all is."""
    if os.geteuid() != 0:
        return "only root can start it"
    lacking = [program for program in PROGRAMS if shutil.which(program) is None]
    if lacking:
        return f"no {', '.join(lacking)} on PATH"
    return "" if Path("/etc/swift").is_dir() else "no folder /etc/swift"


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True

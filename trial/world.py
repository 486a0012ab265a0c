"""World: everything that runs during the trial, started in order and ended whatever happens.

PostgreSQL with the inventory, two servers of it, two XRootD servers and a
WebDAV server, and Holdfast's own configuration beside them. Logs of servers are
copied into ``logs`` of the trial's folder before the servers' own folders go.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bench import postgres
from holdfast.inventory.sql_store import SqlStore
from holdfast.model import changes as c
from holdfast.model.records import Door, Site
from holdfast.testing.postgres_server import PostgresServer
from holdfast.testing.server_process import ServerProcess
from holdfast.testing.servers.rclone_server import rclone_server
from holdfast.testing.servers.xrootd_server import XrootdServer, xrootd_server
from trial.amounts import SMALL
from trial.book import Book
from trial.figures import Figures
from trial.plan import MEMORY, REAL, Plan
from trial.processes import Commands, Peaks, descendants
from trial.real_sites import RealSite

CHECKSUMS = "max 64 adler32"
"""Of the XRootD servers: small files are proved faster than two at a time."""
ANSWER_S = 600.0
"""A server of the inventory may take so long to load an image of ten million files."""

_CONFIGURATION = """
[inventory]
path = "state/inventory.db"

[storage]
authorities = "{authorities}"

[operations]
concurrency = 24
attempts_max = 8
retry_delay_s_max = 10.0
held_retry_s = 20.0
lease_s = 10.0
call_limit_s = 20.0
"""
_OF_REAL_SITE = """
[storage.sites.{name}]
call_timeout_s = 20.0
give_up_s = 60.0

[operations.sites.{name}]
per_site_in = 8
"""


class World:
    """What the stages work with; made by ``world``."""

    def __init__(self, folder: Path, plan: Plan, figures: Figures, peaks: Peaks) -> None:
        self.folder, self.plan, self.figures, self.peaks = folder, plan, figures, peaks
        self.book = Book((*REAL, *MEMORY))
        self.logs = folder / "logs"
        self.wrong: list[str] = []
        """What was seen to be wrong on the way."""
        self.database: PostgresServer
        self.url: str
        self.store: SqlStore
        self.servers: list[ServerProcess]
        self.real: dict[str, RealSite]
        self.commands: Commands

    def kill_database(self) -> None:
        """kill -9 of every process of the database, as a power cut would; it does not run when this returns."""
        for pid in descendants(self.database.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.database.stop("immediate")

    def start_database(self) -> None:
        """Start it again."""
        self.database.start()
        self.peaks.watch("postgres", self.database.pid)

    def start_storage(self, name: str) -> None:
        """Start the server of a real site again, at its address."""
        self.real[name].server.restart()
        self.watch_storage(name)

    def watch_storage(self, name: str) -> None:
        """Look at the memory of what runs for a real site."""
        for pid in pids_of(self.real[name].server.folder):
            self.peaks.watch(f"storage of {name}", pid)

    def start_server(self, number: int) -> None:
        """Start a server of the inventory that was killed."""
        self.servers[number].start()
        self.peaks.watch(f"inventory server {number + 1}", self.servers[number].pid)


@contextmanager
def world(folder: Path, plan: Plan, figures: Figures, peaks: Peaks) -> Iterator[World]:
    """Everything started; all of it is gone at the end."""
    made = World(folder, plan, figures, peaks)
    made.logs.mkdir(exist_ok=True)
    with ExitStack() as stack:
        with figures.stage("everything started"):
            _start_database(made, stack)
            _start_storages(made, stack)
            _configure(made)
            made.store = SqlStore.open(made.url)
            stack.callback(made.store.close)
            _add_sites(made)
            _start_servers(made, stack)
            stack.callback(made.commands.close)
        yield made


def pids_of(folder: Path) -> list[int]:
    """The processes whose command line names something in a folder: so servers are known by theirs."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and f"{folder}/".encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def _start_database(made: World, stack: ExitStack) -> None:
    made.database = stack.enter_context(postgres.server(made.folder, autovacuum="on"))
    stack.callback(_keep_log, made.logs / "postgres.log", lambda: (made.database.folder / "log").read_text())
    made.peaks.watch("postgres", made.database.pid)
    made.url = made.database.new_database()


def _start_storages(made: World, stack: ExitStack) -> None:
    """The XRootD servers show the same files at two doors; everything goes through the one that copies over HTTP.

    The WebDAV server is without TLS: with it, it speaks HTTP/2, and what XRootD 5.5 sends then does not arrive.
    """
    within = postgres.enterable(made.folder)
    made.real = {}
    authority = None
    for name in REAL[:2]:
        server = stack.enter_context(xrootd_server(within, authority=authority, checksums=CHECKSUMS))
        authority = server.authority
        made.real[name] = RealSite(name, server, (("webdav", server.https_url), ("xroot", server.root_url)))
        stack.callback(_keep_log, made.logs / f"{name}.log", server.log)
    rclone = stack.enter_context(rclone_server(within, remembered_s=1))
    made.real[REAL[2]] = RealSite(REAL[2], rclone, (("webdav", rclone.url),))
    stack.callback(_keep_log, made.logs / f"{REAL[2]}.log", rclone.log)
    for name in REAL:
        made.watch_storage(name)


def _configure(made: World) -> None:
    server = made.real[REAL[0]].server
    assert isinstance(server, XrootdServer)
    text = _CONFIGURATION.format(authorities=server.authority.bundle)
    text += "".join(_OF_REAL_SITE.format(name=name) for name in REAL)
    file = made.folder / "holdfast.toml"
    file.write_text(text)
    environment = {"HOLDFAST_CONFIG": str(file), "HOLDFAST_INVENTORY_DATABASE": made.url}
    made.commands = Commands(made.logs / "commands", environment, made.peaks)
    made.commands.run("init")


def _add_sites(made: World) -> None:
    """The real ones as a person adds them; the others are not there to be asked."""

    def add(site: RealSite) -> None:
        (protocol, root), *others = site.doors
        made.commands.run("site", "add", site.name, "--protocol", protocol, "--root", root)
        for protocol, root in others if made.plan.amounts.scale >= SMALL else ():
            made.commands.run("site", "door", "add", site.name, "--protocol", protocol, "--root", root)

    with ThreadPoolExecutor() as pool:
        list(pool.map(add, made.real.values()))
    for name in (*MEMORY, *made.plan.dumps):
        protocol, root = ("memory", f"/{name}") if name in MEMORY else ("dump", str(made.folder / "dumps" / name))
        made.store.commit(c.ChangeSet((c.PutSite(Site(name, (Door(protocol, root),))),), "trial", "the beginning"))


def _start_servers(made: World, stack: ExitStack) -> None:
    made.servers = []
    for number in (1, 2):
        server = ServerProcess([made.url], made.logs / f"inventory-server{number}.log", answer_s=ANSWER_S)
        made.servers.append(stack.enter_context(server))
        made.peaks.watch(f"inventory server {number}", server.pid)


def _keep_log(file: Path, log: Callable[[], str]) -> None:
    with suppress(OSError):
        file.write_text(log())

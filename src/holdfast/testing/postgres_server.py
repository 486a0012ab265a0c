"""PostgresServer: a real PostgreSQL for tests, started and stopped at will.

Made from the programs of a Debian package (``installed_programs``) or of the
``pgserver`` wheel (``bundled_programs``): a new cluster in a temporary folder,
run by an unprivileged user where we are root, ``fsync`` on as in production.

Rules
  * It listens on the loopback at a free port, or, with ``socket_only``, on a
    socket in its own folder, and asks for a password either way.
  * At the end it is stopped and its folder removed, also if the process that
    started it dies: a guard waits at the end of a pipe for that.
  * A new database has the character set UTF8 and compares bytes, unless asked for a language's order.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

USER = "holdfast"
PASSWORD = "open sesame"
START_S = 60.0

_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "max_connections": "100",
    "autovacuum_naptime": "10s",
    "log_min_messages": "warning",
    "lc_messages": "C",
    "timezone": "UTC",
}
# Waits for the end of the pipe that is its standard input: whoever started it ended it, or died. A server that was
# stopped has left no process whose command line names the folder; another process under its old number has not.
_GUARD = """
trap "" INT TERM HUP QUIT
cat >/dev/null
if read -r pid 2>/dev/null <"$1/data/postmaster.pid"; then
  tries=0
  while grep -qs "$1" "/proc/$pid/cmdline" && [ $tries -lt 200 ]; do
    kill -QUIT "$pid"; sleep 0.05; tries=$((tries+1))
  done
fi
rm -rf -- "$1"
"""


def installed_programs() -> Path | None:
    """The folder of the newest PostgreSQL that Debian has installed, or that PATH knows; None without one."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: float(each.parent.name), reverse=True)
    on_path = shutil.which("postgres")
    places = [*folders, *([Path(on_path).resolve().parent] if on_path else [])]
    return next((place for place in places if (place / "initdb").exists()), None)


def bundled_programs() -> Path | None:
    """The folder of the PostgreSQL inside the ``pgserver`` wheel; None if it is not installed."""
    # Its own module is not imported: it makes system users and warns of folders that we do not use.
    found = importlib.util.find_spec("pgserver")
    place = Path(found.origin).parent / "pginstall" / "bin" if found is not None and found.origin else None
    return place if place is not None and (place / "initdb").exists() else None


class PostgresServer:
    """One cluster and the process that serves it."""

    def __init__(
        self, programs: Path, folder: Path, *, socket_only: bool = False, settings: Mapping[str, str] | None = None
    ) -> None:
        self._programs = programs
        self.folder = folder
        self._socket_only = socket_only
        self._settings = settings or {}
        self._account = _account()
        self._process: subprocess.Popen[bytes] | None = None
        self._n_databases = 0
        self._shared = ""
        self.port = 5432 if socket_only else _free_port()

    def make(self) -> None:
        """Make the cluster, empty."""
        if self._account is not None:
            os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
        secret = self.folder / "password"
        secret.write_text(f"{PASSWORD}\n")
        if self._account is not None:
            os.chown(secret, self._account.pw_uid, self._account.pw_gid)
        options = ["--username", USER, "--pwfile", str(secret), "--auth=scram-sha-256", "--encoding=UTF8"]
        program, data = str(self._programs / "initdb"), str(self.folder / "data")
        command = [program, "--pgdata", data, "--locale=C", "--no-sync", *options]
        subprocess.run(command, check=True, capture_output=True, **self._as_account())

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = {
            **_SETTINGS,
            **self._settings,
            "port": str(self.port),
            "listen_addresses": "" if self._socket_only else "127.0.0.1",
            "unix_socket_directories": str(self.folder),
        }
        command = [str(self._programs / "postgres"), "-D", str(self.folder / "data")]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **self._as_account()
            )
        self._wait_for_answer(self._process)

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server: "fast" ends sessions in good order, "immediate" is a crash."""
        if self._process is not None:
            self._process.send_signal(_SIGNALS[mode])
            self._process.wait(60)
            self._process = None

    def restore(self) -> None:
        """Start the server if it does not run."""
        if self._process is None or self._process.poll() is not None:
            self.start()

    @property
    def pid(self) -> int:
        """The process that all others of the server descend from."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres", *, user: str = USER, password: str = PASSWORD) -> str:
        """Where a database is, with the password."""
        if self._socket_only:
            return f"postgresql://{user}:{quote(password)}@/{database}?host={quote(str(self.folder), safe='')}"
        return f"postgresql://{user}:{quote(password)}@127.0.0.1:{self.port}/{database}"

    def new_database(self, *, language: str = "") -> str:
        """The URL of a new, empty database; with ``language`` text is by default ordered as that language has it."""
        self._n_databases += 1
        name = f"test_{os.getpid()}_{self._n_databases}"
        order = "LC_COLLATE 'C' LC_CTYPE 'C'"
        if language:
            order += f" LOCALE_PROVIDER icu ICU_LOCALE '{language}'"
        self.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {order}")
        return self.url(name)

    def new_schema(self) -> str:
        """The URL of a new, empty schema of a database that all such share: quicker than a new database."""
        if not self._shared:
            self._shared = self.new_database()
        self._n_databases += 1
        name = f"test_{self._n_databases}"
        self.run(f"CREATE SCHEMA {name}", url=self._shared)
        mark = "&" if "?" in self._shared else "?"
        return f"{self._shared}{mark}options={quote(f'-csearch_path={name}', safe='')}"

    def drop_database(self, url: str) -> None:
        """Remove a database, whoever still uses it."""
        name = url.partition("?")[0].rpartition("/")[2]
        self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def kill_connections(self) -> None:
        """End every session but our own, as an administrator may."""
        self.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

    def run(self, statement: str, *, url: str = "") -> list[tuple[Any, ...]]:
        """Run one statement as the owner of the cluster, in the database of a URL."""
        import psycopg  # Only who has a server needs its client.

        with psycopg.connect(url or self.url(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _as_account(self) -> dict[str, Any]:
        if self._account is None:
            return {"cwd": self.folder}
        account = {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        return {"cwd": self.folder, **account}

    def _wait_for_answer(self, process: subprocess.Popen[bytes]) -> None:
        import psycopg  # Only who has a server needs its client.

        deadline = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    tail = (self.folder / "log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"PostgreSQL does not start: {error}\n{tail}") from error
                time.sleep(0.02)
            else:
                return


@contextmanager
def postgres_server(
    programs: Path,
    *,
    socket_only: bool = False,
    within: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[PostgresServer]:
    """A server that runs, with some settings of its own; gone at the end, also if this process dies."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-postgres-", dir=within))
    guard = subprocess.Popen(["/bin/sh", "-c", _GUARD, "guard", folder], stdin=subprocess.PIPE, start_new_session=True)
    server = PostgresServer(programs, folder, socket_only=socket_only, settings=settings)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop("immediate")
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait(60)


def _account() -> pwd.struct_passwd | None:
    """Whom to run as: PostgreSQL refuses to be run by root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

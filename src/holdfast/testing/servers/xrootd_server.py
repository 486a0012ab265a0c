"""XrootdServer: a real XRootD for tests, started, stopped, frozen and killed at will.

One process that serves ``/data`` over root:// (and roots://) on one port and
over http and https (WebDAV) on another, with checksums and both kinds of
third-party copy. Further lines of configuration make it ask for tokens or
proxies. ``xrootd_cluster`` has a redirector with servers behind it.

Rules
  * It runs as the user ``xrootd``, or ``nobody`` where there is none, if we are
    root; else as ourselves.
  * What it serves lies in ``data``: the path ``/data/x`` of a URL is the file
    ``data/x``. ``put`` and ``get`` go there behind the server.
  * Ports are free ones and stay the same over a restart.
  * At the end it is killed and its folder removed, also if the process that
    started it dies: a guard waits at the end of a pipe for that.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from holdfast.testing.servers.ports import free_port
from holdfast.testing.servers.stopping import wait_until_stopped
from holdfast.testing.servers.test_authority import TestAuthority

EXPORT = "/data"
"""The one path that is served."""
START_S = 40.0
START_TRIES = 3
LOG_TAIL = 4000

_READY = "initialization completed"
_FAILED = "initialization failed"

_BASE = """
all.adminpath {folder}/admin
all.pidpath {folder}/run
oss.localroot {folder}/root
all.export {export}
xrd.port {root_port}
xrd.tls {certificate} {key}
xrd.tlsca certdir {certs}
xrd.protocol http:{http_port} libXrdHttp.so
http.exthandler xrdtpc libXrdHttpTPC.so
http.listingdeny no
ofs.tpc ttl 60 120 pgm {copier} --server
"""

# Waits for the end of the pipe that is its standard input: whoever started it ended it, or died. Only processes whose
# command line names the folder are ended; a number that was given to somebody else in the meantime is left alone.
GUARD = """
trap "" INT TERM HUP QUIT
cat >/dev/null
tries=0
while [ $tries -lt 200 ]; do
  alive=
  for line in /proc/[0-9]*/cmdline; do
    pid=${line%/cmdline}; pid=${pid#/proc/}
    if [ "$pid" != $$ ] && grep -qs "$1/" "$line" && kill -KILL "$pid" 2>/dev/null; then alive=yes; fi
  done
  [ -n "$alive" ] || break
  sleep 0.05; tries=$((tries+1))
done
rm -rf -- "$1" "$2"/*."${1##*/}"*.env
"""


class Account(NamedTuple):
    """Whom a server runs as."""

    uid: int
    gid: int

    def popen(self) -> dict[str, Any]:
        """What subprocess needs to become this user."""
        if os.geteuid() != 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give a file or folder to this user."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def account(name: str = "xrootd") -> Account:
    """The user ``name``, ``nobody`` where there is none; ourselves if we are not root."""
    if os.geteuid() != 0:
        return Account(os.getuid(), os.getgid())
    for each in (name, "nobody"):
        try:
            found = pwd.getpwnam(each)
        except KeyError:
            continue
        return Account(found.pw_uid, found.pw_gid)
    raise RuntimeError("there is neither a user for the server nor nobody")


@contextmanager
def guarded_folder(prefix: str, *, within: Path | None = None) -> Iterator[Path]:
    """A new folder that others may enter; it and every process that was started with it are gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=within))
    folder.chmod(0o755)
    command = ["/bin/sh", "-c", GUARD, "guard", str(folder), tempfile.gettempdir()]
    guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield folder
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait(60)


class Daemon:
    """One process of XRootD (``xrootd`` or ``cmsd``) with its configuration file, in a folder of its own.

    ``wrapper`` is a command that ends by executing its arguments, as that user: it takes the place of our own change
    of user.
    """

    def __init__(
        self,
        folder: Path,
        configuration: Path,
        user: Account,
        instance: str,
        *,
        program: str = "xrootd",
        environment: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self._configuration = configuration
        self._user = user
        self._program = program
        self._environment = dict(environment or {})
        self._wrapper = list(wrapper)
        # All instances of a machine share a folder in which they leave a file by this name; the guard knows it.
        self._name = instance
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is ready; RuntimeError with its log if it does not.

        On a busy machine one now and then ends, or says nothing, before it has begun: then it is started once more.
        """
        for _ in range(START_TRIES - 1):
            with suppress(RuntimeError):
                self._start()
                return
        self._start()

    def _start(self) -> None:
        log = self._log_file()
        position = log.stat().st_size if log.exists() else 0
        program = shutil.which(self._program) or self._program
        command = [program, "-c", str(self._configuration), "-l", str(self.folder / "log"), "-n", self._name]
        with (self.folder / f"{self._program}.out").open("ab") as out:
            process = self._process = subprocess.Popen(
                [*self._wrapper, *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.folder,
                env={**os.environ, "TMPDIR": str(self.folder), **self._environment},
                start_new_session=True,
                **({} if self._wrapper else self._user.popen()),
            )
        deadline = time.monotonic() + START_S
        while _READY not in (told := self._told(position)):
            if process.poll() is not None or _FAILED in told or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self._program} does not start ({process.returncode}):\n{self.log()[-LOG_TAIL:]}")
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        """Send a signal to it and to whatever it has started."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def freeze(self) -> None:
        """Stop it where it is, until SIGCONT; when this returns, none of its threads runs any more."""
        self.signal(signal.SIGSTOP)
        assert self._process is not None
        wait_until_stopped(self._process.pid)

    def stop(self) -> None:
        """End it in good order."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        self._wait()

    def kill(self) -> None:
        """End it as a crash would, without a word to anybody."""
        self.signal(signal.SIGKILL)
        self._wait()

    def log(self) -> str:
        """All it has written."""
        written = [self._log_file(), self.folder / f"{self._program}.out"]
        return "".join(path.read_text(errors="replace") for path in written if path.exists())

    def _wait(self) -> None:
        if self._process is not None:
            self._process.wait(60)
            self._process = None

    def _log_file(self) -> Path:
        return self.folder / self._name / "log"

    def _told(self, position: int) -> str:
        try:
            with self._log_file().open("rb") as log:
                log.seek(position)
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""


def _wait_until_open(port: int) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=START_S).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


class XrootdServer:
    """One stand-alone server; see the module's docstring."""

    def __init__(
        self,
        folder: Path,
        authority: TestAuthority,
        *,
        extra: str = "",
        checksums: str = "max 2 adler32 crc32c md5",
        environment: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.authority = authority
        self.user = account()
        self.root_port, self.http_port = free_port(), free_port()
        self._extra, self._checksums = extra, checksums
        self.data = folder / "root" / EXPORT[1:]
        self._configuration = folder / "xrootd.cfg"
        for each in (folder, folder / "root", self.data):
            each.mkdir(exist_ok=True)
            self.user.own(each)
        environment = {"X509_CERT_DIR": str(authority.certs), **(environment or {})}
        self._daemon = Daemon(
            folder, self._configuration, self.user, folder.name, environment=environment, wrapper=wrapper
        )

    @property
    def root_url(self) -> str:
        """Where it is, without TLS; a door's root."""
        return f"root://127.0.0.1:{self.root_port}/{EXPORT}"

    @property
    def roots_url(self) -> str:
        """The same with TLS."""
        return f"roots://127.0.0.1:{self.root_port}/{EXPORT}"

    @property
    def http_url(self) -> str:
        """Its other port."""
        return f"http://127.0.0.1:{self.http_port}{EXPORT}"

    @property
    def https_url(self) -> str:
        """The same with TLS."""
        return f"https://127.0.0.1:{self.http_port}{EXPORT}"

    def start(self) -> None:
        """Start it at its ports, with what was served before."""
        certificate, key = self.authority.copy_host_credentials(self.folder, uid=self.user.uid, gid=self.user.gid)
        base = _BASE.format(
            folder=self.folder,
            export=EXPORT,
            root_port=self.root_port,
            http_port=self.http_port,
            certificate=certificate,
            key=key,
            certs=self.authority.certs,
            copier=shutil.which("xrdcp") or "xrdcp",
        )
        checksums = f"xrootd.chksum {self._checksums}\n" if self._checksums else ""
        self._configuration.write_text(base + checksums + self._extra)
        self._daemon.start()
        # It says that it is ready before the second of its ports is open.
        for port in (self.root_port, self.http_port):
            _wait_until_open(port)

    def stop(self) -> None:
        """End it in good order."""
        self._daemon.stop()

    def kill(self) -> None:
        """End it as a crash would."""
        self._daemon.kill()

    def restart(self) -> None:
        """Start it again, whether it runs, is frozen or is gone."""
        self._daemon.kill()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections stay, and nothing is answered."""
        self._daemon.freeze()

    def resume(self) -> None:
        """Let it go on."""
        self._daemon.signal(signal.SIGCONT)

    def log(self) -> str:
        """All it has written."""
        return self._daemon.log()

    def put(self, path: str, data: bytes) -> None:
        """Make or overwrite a file below ``data``, its directories included; the server may change it."""
        target = self.data / path.lstrip("/")
        self.make_directory(os.path.dirname(path))
        target.write_bytes(data)
        self.user.own(target)

    def get(self, path: str) -> bytes | None:
        """The bytes of a file below ``data``; None if there is no such file."""
        target = self.data / path.lstrip("/")
        return target.read_bytes() if target.is_file() else None

    def make_directory(self, path: str) -> None:
        """Make a directory below ``data``, and its parents; the server may change it."""
        target = self.data
        for component in filter(None, path.split("/")):
            target /= component
            if not target.is_dir():
                target.mkdir()
                self.user.own(target)

    def clear(self) -> None:
        """Remove everything that is served."""
        for each in self.data.iterdir():
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            else:
                each.unlink()


@contextmanager
def xrootd_server(
    folder: Path | None = None,
    *,
    authority: TestAuthority | None = None,
    extra: str = "",
    checksums: str = "max 2 adler32 crc32c md5",
    environment: Mapping[str, str] | None = None,
    wrapper: Sequence[str] = (),
) -> Iterator[XrootdServer]:
    """A server that runs; gone at the end with all it served.

    Its own folder is made within ``folder``, which every user must be able to enter; without one, in the usual place
    of temporary files. ``checksums`` are the arguments of ``xrootd.chksum``, "" for none. ``extra`` are further lines
    of configuration, in which ``{folder}`` is the server's own folder.
    """
    with guarded_folder("holdfast-xrd-", within=folder) as own:
        server = XrootdServer(
            own,
            authority or TestAuthority(own / "authority"),
            extra=extra.replace("{folder}", str(own)),
            checksums=checksums,
            environment=environment,
            wrapper=wrapper,
        )
        try:
            server.start()
            yield server
        finally:
            server.kill()

"""Rucio in an environment of its own, and what it needs beside it: memcached, configuration.

Installed from PyPI by name on first use; nothing of it comes into our own
environment. Whatever cannot be had is an Unavailable with the reason.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGES = ("rucio==41.5.*", "psycopg[binary]", "pymemcache")
START_S = 10.0

_CONFIGURATION = """\
[common]
logdir = {folder}
loglevel = WARNING
mailtemplatedir = {folder}

[database]
default = {url}
echo = 0
pool_reset_on_return = rollback

[cache]
url = 127.0.0.1:{cache_port}

[bootstrap]
userpass_identity = bench
userpass_pwd = bench
userpass_email = bench@example.org

[policy]
permission = generic
schema = generic
lfn2pfn_algorithm_default = identity

[alembic]
cfg = {folder}/alembic.ini
"""
# ``multi_vo`` is left out: any text there, "False" too, would be taken for true.

_MIGRATIONS = """\
[alembic]
script_location = {package}/db/sqla/migrate_repo
sqlalchemy.url = {url}

[loggers]
keys = root

[handlers]
keys = console

[formatters]
keys = plain

[logger_root]
level = WARN
handlers = console

[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain

[formatter_plain]
format = %%(message)s
"""


class Unavailable(Exception):
    """Rucio, or what it needs, is not to be had here."""


def python(folder: Path) -> Path:
    """The interpreter of an environment with Rucio, made in ``folder`` unless it is there."""
    ready = folder / "bin" / "python"
    whole = folder / "whole"
    if whole.exists() and whole.read_text() == "\n".join(PACKAGES):
        return ready
    shutil.rmtree(folder, ignore_errors=True)
    print(f"    installing {', '.join(PACKAGES)}", file=sys.stderr, flush=True)
    venv.create(folder, with_pip=True)
    command = [str(ready), "-m", "pip", "install", "--quiet", *PACKAGES]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    if installed.returncode:
        said = [line for line in installed.stderr.splitlines() if line.startswith("ERROR")]
        raise Unavailable(f"cannot be installed: {(said or ['pip failed'])[-1].removeprefix('ERROR: ')[:120]}")
    whole.write_text("\n".join(PACKAGES))
    return ready


def version(interpreter: Path) -> str:
    """Which Rucio it is."""
    script = "import importlib.metadata as m; print(m.version('rucio'))"
    return subprocess.run([interpreter, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def configure(folder: Path, interpreter: Path, url: str, cache_port: int) -> dict[str, str]:
    """Write the configuration for one database; returns the environment that names it."""
    folder.mkdir(parents=True)
    script = "import importlib.util as u; print(u.find_spec('rucio').submodule_search_locations[0])"
    package = subprocess.run([interpreter, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    # In both files a percent sign begins an interpolation.
    values = {"folder": folder, "url": url.replace("%", "%%"), "cache_port": cache_port, "package": package}
    (folder / "rucio.cfg").write_text(_CONFIGURATION.format(**values))
    (folder / "alembic.ini").write_text(_MIGRATIONS.format(**values))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUCIO_", "PYTHON"))}
    return kept | {"RUCIO_CONFIG": str(folder / "rucio.cfg")}


@contextmanager
def memcached() -> Iterator[int]:
    """A memcached on the loopback, with its port; Unavailable without one, for Rucio is slow without."""
    program = shutil.which("memcached") or _installed_memcached()
    port = _free_port()
    command = [program, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "256"]
    process = subprocess.Popen(command, start_new_session=True, **_unprivileged())
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(START_S)


def _installed_memcached() -> str:
    installer = Path(__file__).parents[2] / "tools" / "apt.sh"
    installed = subprocess.run([installer, "memcached"], capture_output=True, text=True, check=False)
    program = shutil.which("memcached")
    if installed.returncode or program is None:
        said = installed.stderr.strip().splitlines() or ["not installed"]
        raise Unavailable(f"no memcached: {said[-1][:120]}")
    return program


def _unprivileged() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable("memcached does not start") from error
            time.sleep(0.02)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

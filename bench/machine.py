"""What machine this is, in a few words that a page of figures can carry: no names of hosts, no paths."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from holdfast.testing.postgres_server import bundled_programs, installed_programs

GIB = 1 << 30
PACKAGES = ("duckdb", "pyarrow", "numpy", "sqlalchemy", "psycopg", "aiohttp", "obstore")


def described() -> dict[str, str]:
    """By what it is: processor, memory, system, Python, and the versions of what the figures depend on."""
    return {key: value for key, value in _facts() if value}


def _facts() -> Iterator[tuple[str, str]]:
    yield "processor", f"{os.cpu_count()} cores, {_processor()}"
    yield "memory", f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / GIB:.0f} GiB"
    yield "system", f"{_system()}, Linux {platform.release()}"
    yield "Python", platform.python_version()
    yield "packages", ", ".join(f"{name} {version}" for name in PACKAGES if (version := _installed(name)))
    yield "PostgreSQL", _postgres()
    yield "XRootD", _told(["xrootd", "-v"])


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", _text(Path("/proc/cpuinfo")), re.MULTILINE)
    return found[1] if found else platform.machine()


def _system() -> str:
    found = re.search(r'^PRETTY_NAME="(.+)"$', _text(Path("/etc/os-release")), re.MULTILINE)
    return found[1] if found else platform.system()


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _postgres() -> str:
    programs = installed_programs() or bundled_programs()
    return _told([str(programs / "postgres"), "--version"]) if programs else ""


def _told(command: list[str]) -> str:
    """The version that a program tells of itself, on either stream; "" if it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except OSError:
        return ""
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else ""


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def peak_bytes() -> int:
    """The most memory that was resident in this process; what its parent had, which getrusage counts, is not in it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

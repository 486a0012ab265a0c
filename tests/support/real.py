"""Real parts: what a test needs of the machine itself, by name.

A test that is marked ``@pytest.mark.real("tmpfs mount")``, or that calls
``requires_real``, runs where the part is to be had. Elsewhere it is skipped
with the reason; under ``CI=true`` it fails, because there everything is
supposed to be installed, and a suite that quietly shrinks proves nothing.

A new part is a function in PARTS which says what is missing, or "" if nothing
is; what it needs from Debian goes into tools/system-packages.sh.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping

import pytest

MISSING = "real part missing"
"""How each such skip begins; the summary finds them by it."""


def in_ci() -> bool:
    """Whether a missing part is a failure."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def requires_real(name: str, available: bool, reason: str) -> None:
    """Go on if the real part ``name`` is available; else skip, or fail under CI=true."""
    if available:
        return
    message = f"{MISSING}: {name}: {reason}"
    if in_ci():
        pytest.fail(f"{message} (CI=true: nothing may be missing here)", pytrace=False)
    pytest.skip(message)


def require(name: str) -> None:
    """``requires_real`` for a part of PARTS, looked for once per process."""
    reason = _probe(name)
    requires_real(name, not reason, reason)


@functools.cache
def _probe(name: str) -> str:
    if name not in PARTS:
        raise pytest.UsageError(f"no real part {name!r}; tests/support/real.py knows {', '.join(PARTS)}")
    return PARTS[name]()


def _tmpfs_mount() -> str:
    for program in ("mount", "umount"):
        if shutil.which(program) is None:
            return f"no {program} on this machine"
    folder = tempfile.mkdtemp(prefix="holdfast-probe-")
    try:
        tried = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "holdfast-probe", folder], capture_output=True, text=True
        )
        if tried.returncode:
            said, *_ = tried.stderr.strip().splitlines() or ["no reason given"]
            return f"mount refused: {said}"
        subprocess.run(["umount", folder], check=True)
    finally:
        os.rmdir(folder)
    return ""


def _unprivileged_user() -> str:
    if os.geteuid() != 0:
        return ""
    tried = subprocess.run(["true"], user=65534, group=65534, extra_groups=[], check=False)
    return "" if tried.returncode == 0 else "root may not become another user here"


# Not imported at the top: pytest has to rewrite the asserts of holdfast.testing first.
def _postgresql() -> str:
    from holdfast.testing import postgres_server

    if postgres_server.installed_programs() is None:
        return "no PostgreSQL server: neither in /usr/lib/postgresql/*/bin nor on PATH"
    return _no_client()


def _bundled_postgresql() -> str:
    from holdfast.testing import postgres_server

    if postgres_server.bundled_programs() is None:
        return "the wheel pgserver is not installed, or not for this machine"
    return _no_client()


def _no_client() -> str:
    return "" if importlib.util.find_spec("psycopg") is not None else "the library psycopg is not installed"


def _xrootd() -> str:
    lacking = [program for program in ("xrootd", "xrdcp", "openssl") if shutil.which(program) is None]
    return f"no {', '.join(lacking)} on PATH" if lacking else ""


def _curl() -> str:
    return "" if shutil.which("curl") is not None else "no curl on PATH"


def _rsync() -> str:
    return "" if shutil.which("rsync") is not None else "no rsync on PATH"


def _setpriv() -> str:
    return "" if shutil.which("setpriv") is not None else "no setpriv on PATH"


def _rclone() -> str:
    return "" if shutil.which("rclone") is not None else "no rclone on PATH"


def _xrootd_client() -> str:
    return "" if importlib.util.find_spec("XRootD") is not None else "the library xrootd is not installed"


def _gfal() -> str:
    from holdfast.storage.gfal import driver as gfal

    return "" if gfal.bindings() else "no Python here has gfal2's bindings"


def _gfal_programs() -> str:
    from holdfast.storage.gfal import driver as gfal

    lacking = gfal.programs_missing()
    return f"no {', '.join(lacking)} on PATH" if lacking else ""


def _xrdfs() -> str:
    lacking = [program for program in ("xrdfs", "xrdcp") if shutil.which(program) is None]
    return f"no {', '.join(lacking)} on PATH" if lacking else ""


def _moto() -> str:
    lacking = [name for name in ("moto", "boto3", "werkzeug") if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(lacking)}" if lacking else ""


def _voms() -> str:
    return "" if shutil.which("voms-proxy-fake") is not None else "no voms-proxy-fake on PATH"


def _fts_client() -> str:
    if importlib.util.find_spec("fts3") is not None and importlib.util.find_spec("M2Crypto") is not None:
        return ""
    return "the library fts3 is not installed: tools/fts-client.sh does that, where gcc and OpenSSL's headers are"


def _swift() -> str:
    from holdfast.testing.servers import swift_server

    return swift_server.missing() or _moto()


# As above.
def _token_authorisation() -> str:
    from holdfast.testing.servers import authorised_xrootd

    return authorised_xrootd.missing_for_tokens()


def _voms_authorisation() -> str:
    from holdfast.testing.servers import authorised_xrootd

    return authorised_xrootd.missing_for_voms()


PARTS: Mapping[str, Callable[[], str]] = {
    "swift": _swift,
    "curl": _curl,
    "fts client": _fts_client,
    "gfal": _gfal,
    "gfal programs": _gfal_programs,
    "moto": _moto,
    "bundled postgresql": _bundled_postgresql,
    "postgresql": _postgresql,
    "rclone": _rclone,
    "rsync": _rsync,
    "setpriv": _setpriv,
    "tmpfs mount": _tmpfs_mount,
    "token authorisation": _token_authorisation,
    "unprivileged user": _unprivileged_user,
    "voms": _voms,
    "voms authorisation": _voms_authorisation,
    "xrdfs": _xrdfs,
    "xrootd": _xrootd,
    "xrootd python client": _xrootd_client,
}
"""What is missing for a part, or "" if nothing is."""

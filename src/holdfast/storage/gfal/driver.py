"""GfalDriver: storages by gfal2, which knows protocols that nothing else here knows (srm, gsiftp).

Where a Python on this machine has gfal2's bindings, they are asked in a
process of their own; else gfal2's programs are run, which is slow.

Rules, beside those of the contract and of ``guarded``
  * What the way of asking and the protocol cannot do is in ``capabilities``.
  * A token is never shown to XRootD in plain: the root is written ``roots://``.
  * Symbolic links at the end of a path are seen as such where gfal2 tells;
    on the way to it they are the storage's business. For folders of this
    machine the driver ``posix`` is the right one.
  * Proxy and authorities of the site are in the environment of that process,
    and nobody else's are.
"""

from __future__ import annotations

import functools
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from holdfast.model.errors import OperatorError
from holdfast.model.names import COMPONENT_BYTES_MAX
from holdfast.storage import program
from holdfast.storage.access import Access
from holdfast.storage.digest import ALGORITHMS
from holdfast.storage.driver import Capabilities, StorageDriver
from holdfast.storage.gfal import process as gfal_process
from holdfast.storage.gfal import programs as gfal_programs
from holdfast.storage.gfal import root as gfal_root
from holdfast.storage.gfal.calls import GfalCalls
from holdfast.storage.gfal.hands import SECOND_NS, GfalHands
from holdfast.storage.gfal.process import GfalProcess, Option
from holdfast.storage.gfal.programs import GfalPrograms
from holdfast.storage.guarded.driver import GuardedDriver
from holdfast.storage.program import NOWHERE
from holdfast.storage.xroot.address import require_encryption
from holdfast.storage.xroot.listing import CUT_AT_BYTES

SLACK_S = 1.0
"""How much later than gfal2's own limits ours comes: its words say more."""
TRY_S = 20.0

_DEBIAN_BINDINGS = "/usr/lib/python3/dist-packages"
_PROGRAMS = ("gfal-ls", "gfal-stat", "gfal-sum", "gfal-cat", "gfal-copy", "gfal-rename", "gfal-rm", "gfal-mkdir")


class GfalDriver(GuardedDriver):
    """The tree below ``root``; ``programs``: run gfal2's programs even where its bindings are to be had."""

    def __init__(self, root: str, *, label: str = "", access: Access | None = None, programs: bool = False) -> None:
        parsed = gfal_root.parse(root)
        access = access or Access()
        require_encryption(parsed.scheme, access, label or root)
        self.calls = _calls(parsed.base, access, programs)
        by_programs = isinstance(self.calls, GfalPrograms)
        capabilities = Capabilities(
            follows_links=True,
            checksums=ALGORITHMS,
            # Of a folder of this machine gfal2 reads the bytes itself.
            told=frozenset() if parsed.is_file else ALGORITHMS - {"blake3"},
            second_look=True,
            # Over the web a directory goes with all that it holds; whether this server minds nobody tells us.
            removes_directories=self.calls.can_remove_directories and not parsed.is_web,
            calls_max=gfal_programs.CALLS_MAX if by_programs else gfal_process.THREADS,
            mtime_resolution_ns=SECOND_NS,
            not_in_paths=parsed.not_in_paths,
            # XRootD cuts off names, over WebDAV too.
            listed_bytes_max=CUT_AT_BYTES if parsed.is_web or parsed.is_xrootd else COMPONENT_BYTES_MAX,
        )
        super().__init__(GfalHands(parsed, self.calls, capabilities), label=label or root)


def open_door(root: str, *, site: str, access: Access) -> StorageDriver:
    """The driver of a root that gfal2 understands; nothing is asked of the storage yet."""
    return GfalDriver(root, label=f"{site}:{root}", access=access)


@functools.cache
def bindings() -> tuple[str, str] | None:
    """A Python that has gfal2's bindings, and the PYTHONPATH it needs for that; None if there is none."""
    for python, path in _candidates():
        environment = program.environment(**({"PYTHONPATH": path} if path else {}))
        try:
            tried = subprocess.run(
                [python, "-c", "import gfal2; gfal2.creat_context()"],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TRY_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if tried.returncode == 0:
            return python, path
    return None


def programs_missing() -> list[str]:
    """Which of gfal2's programs are not on PATH."""
    return [name for name in _PROGRAMS if shutil.which(name) is None]


def _candidates() -> list[tuple[str, str]]:
    found = [path for path in ("/usr/bin/python3", shutil.which("python3") or "", sys.executable) if path]
    plain = [(path, "") for path in dict.fromkeys(found) if Path(path).exists()]
    # The bindings of the system work in every Python of the same version.
    return plain + [(path, _DEBIAN_BINDINGS) for path, _ in plain if Path(_DEBIAN_BINDINGS).is_dir()]


def _require_folder(authorities: Path | None) -> None:
    if authorities is not None and not authorities.is_dir():
        raise OperatorError(
            "gfal2 wants the certificates of authorities in a folder, by their hashed names",
            place=str(authorities),
            hint="name a folder such as /etc/grid-security/certificates",
        )


def _calls(base: str, access: Access, programs: bool) -> GfalCalls:
    settings = access.settings
    _require_folder(settings.authorities)
    limit_s = settings.connect_timeout_s + settings.call_timeout_s + SLACK_S
    options = _options(math.ceil(settings.connect_timeout_s), math.ceil(settings.call_timeout_s))

    async def shown() -> tuple[Mapping[str, str], str]:
        return await _environment(access), await access.token()

    found = bindings()
    if found and not programs:
        return GfalProcess(found, url=base, settings=shown, options=options, limit_s=limit_s)
    if programs_missing():
        raise OperatorError(
            "gfal2 is not to be had: no Python here has its bindings, and its programs are not on PATH",
            hint=f"install {gfal_process.PACKAGE} or {gfal_programs.PACKAGE}",
        )
    return GfalPrograms(settings=shown, options=options, limit_s=limit_s, python=found[0] if found else "")


def _options(connect_s: int, call_s: int) -> list[Option]:
    return [
        ("CORE", "NAMESPACE_TIMEOUT", call_s),
        ("CORE", "CHECKSUM_TIMEOUT", call_s),
        ("HTTP PLUGIN", "OPERATION_TIMEOUT", call_s),
        # Else a storage is asked for a token of its own before every request.
        ("HTTP PLUGIN", "RETRIEVE_BEARER_TOKEN", False),
        ("SRM PLUGIN", "OPERATION_TIMEOUT", call_s),
        ("SRM PLUGIN", "CONN_TIMEOUT", connect_s),
        ("GRIDFTP PLUGIN", "OPERATION_TIMEOUT", call_s),
        ("BDII", "ENABLED", False),
    ]


async def _environment(access: Access) -> dict[str, str]:
    settings = access.settings
    proxy = str(await access.proxy() or NOWHERE)
    connect_s, call_s = str(math.ceil(settings.connect_timeout_s)), str(math.ceil(settings.call_timeout_s))
    found = program.environment(
        X509_USER_PROXY=proxy,
        X509_USER_CERT=proxy,
        X509_USER_KEY=proxy,
        BEARER_TOKEN_FILE=str(settings.token or NOWHERE),
        XRD_CONNECTIONWINDOW=connect_s,
        XRD_CONNECTIONRETRY="1",
        XRD_REQUESTTIMEOUT=call_s,
        XRD_STREAMTIMEOUT=call_s,
        XRD_STREAMERRORWINDOW="0",
        XRD_TIMEOUTRESOLUTION="1",
        # Else the contents of a file with a name like x.meta4 decide what is read in its place, and from whom.
        XRD_METALINKPROCESSING="0",
    )
    if "GFAL_PLUGIN_DIR" in os.environ:
        found["GFAL_PLUGIN_DIR"] = os.environ["GFAL_PLUGIN_DIR"]
    if settings.authorities:
        found["X509_CERT_DIR"] = str(settings.authorities)
    return found

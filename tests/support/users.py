"""A user who is stopped by permissions.

Root passes every mode and so cannot test what modes do. Run by root, the tests
become ``nobody`` for the part in question; run by anybody else, they are such a
user already.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NOBODY = 65534

# The child imports all it may ever need while it is still root: the
# interpreter and the checkout can lie in a home folder that nobody enters.
_AS_NOBODY = """
import importlib, os, pkgutil, sys
import holdfast
import encodings.idna, pyarrow.parquet, sqlalchemy.dialects.sqlite, structlog, rich.progress, rich.table
for found in pkgutil.walk_packages(holdfast.__path__, "holdfast."):
    if not found.name.startswith("holdfast.testing"):
        try:
            importlib.import_module(found.name)
        except ModuleNotFoundError as error:  # gfal's child runs in another Python, which has what it needs.
            if error.name != "gfal2":
                raise
number = int(sys.argv[1])
if number != os.geteuid():
    os.setgroups([]); os.setgid(number); os.setuid(number)
sys.argv = ["holdfast", *sys.argv[2:]]
from holdfast.cli.main import main
sys.exit(main())
"""


@dataclass(frozen=True, slots=True)
class Unprivileged:
    """A user without rights, and a folder of its own that it can reach."""

    uid: int
    gid: int
    folder: Path

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Be this user inside the process, for calls of a driver or a store; every thread of it is."""
        if os.geteuid() != 0:
            yield
            return
        groups = os.getgroups()
        os.setgroups([])
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)

    def holdfast(
        self, arguments: Sequence[str], *, env: Mapping[str, str] | None = None, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run the ``holdfast`` command as this user, in its folder."""
        return subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, str(self.uid), *arguments],
            cwd=self.folder,
            env={**os.environ, "HOME": str(self.folder), **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

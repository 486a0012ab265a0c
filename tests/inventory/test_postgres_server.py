"""The test server itself: gone at the end, also when the process that started it was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from holdfast.testing import postgres_server

pytestmark = [pytest.mark.slow, pytest.mark.real("postgresql")]

SCRIPT = """
import os, signal, sys
from pathlib import Path
from holdfast.testing.postgres_server import installed_programs, postgres_server
with postgres_server(installed_programs(), within=Path(sys.argv[1])) as server:
    print(server.folder, server.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_goes_with_a_process_that_is_killed(fast_folder: Path) -> None:
    fast_folder.chmod(0o755)
    died = subprocess.run([sys.executable, "-c", SCRIPT, fast_folder], capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL
    folder, pid = died.stdout.split()
    deadline = time.monotonic() + 60
    while Path(folder).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(folder).exists()
    assert folder not in _command_line(int(pid))


def test_it_goes_at_the_end_and_starts_again_as_it_was(fast_folder: Path) -> None:
    programs = postgres_server.installed_programs()
    assert programs is not None
    fast_folder.chmod(0o755)
    with postgres_server.postgres_server(programs, within=fast_folder) as server:
        url = server.new_database()
        server.run("CREATE TABLE kept (a int)", url=url)
        server.stop("immediate")
        server.start()
        assert server.run("SELECT * FROM kept", url=url) == []
        pid = server.pid
    assert list(fast_folder.iterdir()) == []
    assert str(fast_folder) not in _command_line(pid)


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""

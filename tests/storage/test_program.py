"""holdfast.storage.program: limits on time, on silence and on what is kept; nothing outlives its use.

Method: shell scripts, each a line or two.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from holdfast.model.errors import OperatorError, PeerError
from holdfast.storage import program
from holdfast.storage.program import Ended, Program


async def script(text: str, **limits: Any) -> Ended:
    limits = {"limit_s": 60.0} | limits
    return await program.run(Program("/bin/sh", "dash", program.environment()), ["-c", text], **limits)


def ended(text: str, **limits: Any) -> Ended:
    return asyncio.run(script(text, **limits))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_code_and_both_outputs():
    assert ended("echo out; echo err >&2; exit 3") == Ended(3, b"out\n", b"err\n")
    assert ended("kill -9 $$").code == -9


def test_one_that_takes_too_long_is_ended(tmp_path: Path):
    with pytest.raises(PeerError, match=r"took longer than 0\.3 s"):
        ended(f"echo $$ > {tmp_path}/pid; while true; do echo x; sleep 0.05; done", limit_s=0.3)
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_one_that_is_silent_for_too_long_is_ended(tmp_path: Path):
    with pytest.raises(PeerError, match=r"said nothing for 0\.3 s"):
        ended(f"echo $$ > {tmp_path}/pid; echo x; sleep 60", silence_s=0.3)
    assert not is_alive(int((tmp_path / "pid").read_text()))
    with pytest.raises(PeerError, match="said nothing"):
        ended("exec >&- 2>&-; sleep 60", silence_s=0.3)


def test_one_that_goes_on_talking_may_take_long():
    began = time.monotonic()
    got = ended("for i in 1 2 3 4 5 6 7 8; do echo $i >&2; sleep 0.2; done", silence_s=1.0)
    assert time.monotonic() - began > 1.0
    assert got.err.split() == [str(number).encode() for number in range(1, 9)]


def test_more_than_may_be_kept_is_an_error_or_cut():
    many = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done"
    assert len(ended(many).out.splitlines()) == 3000
    with pytest.raises(PeerError, match="more than 1000 bytes"):
        ended(many, output_bytes_max=1000)
    got = ended(many, output_bytes_max=1000, keeps_end=True)
    assert len(got.out) == 1000
    assert got.out.endswith(b"line 2998\nline 2999\n")


def test_what_it_leaves_behind_is_neither_waited_for_nor_left(tmp_path: Path):
    began = time.monotonic()
    got = ended(f"sleep 60 & echo $! > {tmp_path}/pid; echo done")
    assert got == Ended(0, b"done\n", b"")
    assert time.monotonic() - began < 20
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):  # Killed with its group; whoever inherits it still has to fetch it.
        if not is_alive(pid) or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            break
        time.sleep(0.05)
    else:
        pytest.fail("a process was left behind")


def test_a_cancelled_run_leaves_nothing(tmp_path: Path):
    async def cancelled() -> None:
        running = asyncio.ensure_future(
            script(f"echo $$ > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; sleep 60")
        )
        while not (tmp_path / "pid").exists():
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancelled())
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_one_that_is_not_installed_names_its_package():
    missing = Program("holdfast-no-such-program", "some-package", program.environment())
    with pytest.raises(OperatorError, match="install some-package"):
        asyncio.run(program.run(missing, [], limit_s=5))


def test_it_inherits_no_secret(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    out = ended("env; echo $HOME").out
    assert b"hidden" not in out
    assert program.NOWHERE.encode() in out

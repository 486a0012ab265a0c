"""holdfast.logs: events reach standard error, one line each, from the level on, and cost nothing below it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from holdfast import logs

LOG = logs.get("test")


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    before = logs.settings()
    yield
    logs.configure(before.level, json=before.json)


def test_json_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]):
    logs.configure("info", json=True)
    LOG.bind(size=2, lfn="/a/b\nforged").info("copied", size=3)
    LOG.debug("unseen")
    out, err = capsys.readouterr()
    assert out == ""
    event = json.loads(err)
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "copied", "level": "info", "lfn": "/a/b\nforged", "size": 3, "room": "test"}


def test_text_lines_cannot_be_forged(capsys: pytest.CaptureFixture[str]):
    logs.configure("warning", json=False)
    LOG.warning("odd\nname", lfn="/a\x1b[2J\r\nall is well", bad="\udcff")
    LOG.info("unseen")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert "unseen" not in err
    assert r"\x1b[2J" in err


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_each_level_writes_what_is_at_or_above_it(level: str, capsys: pytest.CaptureFixture[str]):
    logs.configure(level, json=True)
    for name in ("debug", "info", "warning", "error"):
        getattr(LOG, name)(name)
    seen = [json.loads(line)["level"] for line in capsys.readouterr().err.splitlines()]
    levels = ["debug", "info", "warning", "error"]
    assert seen == levels[levels.index(level) :]


def test_who_has_configured_nothing_gets_warnings_on_standard_error_and_pays_for_no_more():
    script = (
        "import sys; from holdfast import logs; log = logs.get('room'); log.info('unseen');"
        " assert 'structlog' not in sys.modules; log.warning('seen')"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == ""
    assert "seen" in ran.stderr
    assert "unseen" not in ran.stderr

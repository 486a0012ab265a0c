"""holdfast.logs: events reach standard error, one line each, from the level on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from holdfast import logs


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_json_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]):
    logs.configure("info", json=True)
    structlog.get_logger().info("copied", lfn="/a/b\nforged", size=3)
    structlog.get_logger().debug("unseen")
    out, err = capsys.readouterr()
    assert out == ""
    event = json.loads(err)
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "copied", "level": "info", "lfn": "/a/b\nforged", "size": 3}


def test_text_lines_cannot_be_forged(capsys: pytest.CaptureFixture[str]):
    logs.configure("warning", json=False)
    structlog.get_logger().warning("odd\nname", lfn="/a\x1b[2J\r\nall is well", bad="\udcff")
    structlog.get_logger().info("unseen")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert "unseen" not in err
    assert r"\x1b[2J" in err

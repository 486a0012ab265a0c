"""Credentials at the command line: each site's own are used, and what is wrong with them is one clear line."""

from __future__ import annotations

import pytest
from commanding import Commands

CONFIG = """
[storage]
token = "secrets/all.token"
connect_timeout_s = 1
[storage.sites.FAR]
token = "secrets/far.token"
renew_command = ["secrets/renew", "--password", "s3cr3t"]
[storage.sites.OPEN]
token = ""
"""
EXPIRED = "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjE3MDAwMDAwMDB9.c2ln"


@pytest.fixture
def with_secrets(commands: Commands) -> Commands:
    """An installation whose sites have tokens, expired ones."""
    pytest.importorskip("aiohttp")
    commands.good("init")
    (commands.folder / "holdfast.toml").write_text(CONFIG)
    (commands.folder / "secrets").mkdir()
    for name in ("all", "far"):
        file = commands.folder / f"secrets/{name}.token"
        file.touch(0o600)
        file.write_text(EXPIRED)
    renew = commands.folder / "secrets/renew"
    renew.write_text(f"#!/bin/sh\necho $HOLDFAST_SITE {EXPIRED}\nexit 5\n")
    renew.chmod(0o700)
    return commands


def _added(commands: Commands, site: str, port: str):
    return commands("site", "add", site, "--protocol", "https", "--root", f"https://127.0.0.1:{port}/data")


def test_an_expired_token_is_told_of_in_one_line(with_secrets: Commands):
    ran = _added(with_secrets, "NEAR", "1")
    ran.expect_error(2, "secrets/all.token: the token has expired at 2023-11-14T22:13:20Z (renew it, or")
    assert EXPIRED not in ran.err
    ran = _added(with_secrets, "FAR", "1")
    ran.expect_error(2, "secrets/far.token: the token has expired", "/secrets/renew ended with exit code 5: FAR ***")
    assert EXPIRED not in ran.err


def test_a_site_that_asks_for_no_token_is_asked(with_secrets: Commands):
    ran = _added(with_secrets, "OPEN", "1")
    assert ran.code == 3, ran
    assert "token" not in ran.err


def test_what_a_site_has_of_its_own_is_shown_with_its_origin(with_secrets: Commands):
    rows = with_secrets.good("config", "show", "--json").document["settings"]
    shown = {f"{row['section']}.{row['key']}": (row["value"], row["origin"].rpartition(":")[2]) for row in rows}
    folder = with_secrets.folder
    assert shown["storage.token"] == (f"{folder}/secrets/all.token", "3")
    assert shown["storage.sites.FAR.token"] == (f"{folder}/secrets/far.token", "6")
    assert shown["storage.sites.FAR.renew_command"] == ([f"{folder}/secrets/renew", "***"], "7")
    assert shown["storage.sites.OPEN.token"] == (None, "9")
    table = with_secrets.good("config", "show").out
    assert "storage.sites.FAR.renew_command" in table
    assert EXPIRED not in table
    assert "s3cr3t" not in table

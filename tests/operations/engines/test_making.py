"""operations.engines.making: what is configured is there, under its name, and nothing else."""

from __future__ import annotations

import asyncio
import time
from typing import get_args

import pytest

from holdfast.config import CommandSettings, EngineName, FtsSettings, OperationsSettings
from holdfast.model.clock import system_clock
from holdfast.model.errors import OperatorError
from holdfast.operations.engines import making
from holdfast.operations.engines.choosing import Engines
from holdfast.operations.engines.making import make_engines
from holdfast.storage.access import Access

FTS = FtsSettings(url="https://fts.example:8446")
COMMAND = CommandSettings(template=("cp", "{source}", "{destination}"))


def made(settings: OperationsSettings) -> Engines:
    return make_engines(settings, lambda site: Access(site=site), clock=system_clock, monotonic=time.monotonic)


def names(settings: OperationsSettings) -> list[str]:
    engines = made(settings)
    found = [name for name in get_args(EngineName) if engines.named(name) is not None]
    assert [engine.name for name in found if (engine := engines.named(name)) is not None] == found
    asyncio.run(engines.close())
    return found


def test_three_are_always_there():
    assert names(OperationsSettings()) == ["http", "xrootd", "local"]


def test_the_others_come_with_their_sections():
    pytest.importorskip("aiohttp")
    assert names(OperationsSettings().with_tables(fts=FTS, command=COMMAND)) == list(get_args(EngineName))


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch):
    def lacking(name: str) -> object:
        raise ModuleNotFoundError(f"No module named 'aiohttp', wanted by {name}", name="aiohttp.client")

    monkeypatch.setattr(making, "import_module", lacking)
    with pytest.raises(OperatorError, match="no Python package aiohttp"):
        made(OperationsSettings().with_tables(fts=FTS))

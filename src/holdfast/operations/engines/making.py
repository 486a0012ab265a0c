"""Making the engines that are configured.

``local``, ``http``, ``xrootd`` and the one that looks in place are always there. ``fts`` and ``command`` are
there once their sections are filled in.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from holdfast.config import FtsSettings, OperationsSettings
from holdfast.model.clock import Clock
from holdfast.model.errors import OperatorError
from holdfast.operations.engine import TransferEngine
from holdfast.operations.engines import third_party
from holdfast.operations.engines.choosing import Engines
from holdfast.operations.engines.command import CommandEngine
from holdfast.operations.engines.in_place import InPlaceEngine
from holdfast.operations.engines.local import LocalEngine
from holdfast.operations.engines.one_by_one import OneByOne
from holdfast.storage.access import Access


def make_engines(
    settings: OperationsSettings,
    access: Callable[[str], Access],
    *,
    clock: Clock,
    monotonic: Callable[[], float],
) -> Engines:
    """Every engine that the configuration allows; ``access`` gives that of a site by its name.

    Asks nobody. OperatorError where the library of one that is configured is not installed.
    """
    own = (LocalEngine(clock), third_party.http_engine(clock), third_party.xrootd_engine(clock), InPlaceEngine(clock))
    engines: list[TransferEngine] = [OneByOne(engine) for engine in own]
    if settings.fts.url is not None:
        engines.append(_fts(settings.fts, clock))
    if settings.command.template:
        engines.append(CommandEngine(settings.command, access, clock))
    return Engines(engines, settings.for_link, monotonic=monotonic)


def _fts(settings: FtsSettings, clock: Clock) -> TransferEngine:
    try:
        module = import_module("holdfast.operations.engines.fts.engine")
    except ModuleNotFoundError as error:
        lacking = (error.name or "").partition(".")[0]
        if lacking in ("", "holdfast"):
            raise
        raise OperatorError(
            f"the engine fts lacks its client library: there is no Python package {lacking}",
            place="[operations.fts]",
            hint="pip install 'holdfast[fts]', or leave url out",
        ) from error
    engine: TransferEngine = module.FtsEngine(settings, clock)
    return engine

"""Completing: the words a shell may be offered for an argument: names of sites and datasets, ids of requests.

Whatever goes wrong here is silence: somebody is in the middle of typing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import typer

from holdfast.cli.context import open_context
from holdfast.cli.options import Options
from holdfast.inventory.store import Snapshot

OFFERED_MAX = 200

Completer = Callable[[typer.Context, str], list[str]]


def _offering(words: Callable[[Snapshot], Iterable[str]]) -> Completer:
    def offer(context: typer.Context, incomplete: str) -> list[str]:
        try:
            given = Options(config=context.find_root().params.get("config"))
            with open_context(given, warn=False) as opened, opened.store.snapshot() as snapshot:
                return [word for word in words(snapshot) if word.startswith(incomplete)][:OFFERED_MAX]
        except Exception:  # noqa: BLE001
            return []

    return offer


sites = _offering(lambda snapshot: (site.name for site in snapshot.sites()))
datasets = _offering(lambda snapshot: (str(dataset.key) for dataset in snapshot.datasets()))
copies = _offering(lambda snapshot: (request.id for request in snapshot.copy_requests()))
deletions = _offering(lambda snapshot: (request.id for request in snapshot.deletion_requests()))

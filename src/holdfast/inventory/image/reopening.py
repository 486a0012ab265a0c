"""Reopen: begin with the image that was published last, instead of reading everything from the store.

What it lacks is in the journal. A publication of another history, a damaged
one, or none at all is no error here: then the store is read. Every byte is
proved first, because what is taken here is what will be published again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from holdfast import logs
from holdfast.inventory.image import published
from holdfast.inventory.image.image import Image
from holdfast.inventory.image.published import PublishedImage
from holdfast.inventory.store import Store
from holdfast.model.errors import DatabaseAway, HoldfastError

_log = logs.get("inventory")


def reopened(store: Store, folder: Path, load: Callable[[Store], Image]) -> Image:
    """An image over the files in ``folder``, if they are of the store's history; else what ``load`` makes."""
    try:
        published.check(folder)
        tables = PublishedImage(folder).tables()
        store.entries(tables.head.cursor, limit=1)  # ResyncNeeded if that point is not on the store's history.
    except DatabaseAway:
        raise
    except HoldfastError as error:
        _log.info("the published image is not used", problem=str(error))
        return load(store)
    return Image(tables)

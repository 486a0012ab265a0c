"""Doors: what is asked of those through which a site is checked or cleaned."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.model.errors import BadInput
from holdfast.model.records import Site
from holdfast.storage.driver import StorageDriver


def require_live(doors: Sequence[StorageDriver], *, hint: str) -> None:
    """BadInput for doors that show an earlier listing: what came and went since would be called missing or orphan."""
    for door in doors:
        if not door.capabilities.live:
            message = "shows a listing that was made earlier, not the storage as it is"
            raise BadInput(message, place=door.label, hint=hint)


def identity_of(site: Site, doors: Sequence[StorageDriver], *more: object) -> str:
    """A text that differs if the site's name, its doors, as registered or as opened, or anything ``more`` does."""
    return repr((site.name, site.doors, [door.label for door in doors], *more))

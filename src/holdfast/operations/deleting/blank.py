"""Blank: a storage that shows nothing at all, as a folder does whose disk is not mounted.

What such a storage does not have proves nothing: nobody takes it for gone. One
that has really lost its last file looks the same; then a person has to say so.
"""

from __future__ import annotations

from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.storage.driver import StorageDriver


async def is_blank(driver: StorageDriver) -> bool:
    """Whether nothing can be seen below the root of a storage, be it that it cannot be listed."""
    try:
        return not (await driver.list("/")).entries
    except BrokenInvariant:
        raise
    except HoldfastError:
        return True

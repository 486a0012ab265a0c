"""Folders as storages of other kinds."""

from __future__ import annotations

from dataclasses import replace

from holdfast.storage.driver import Capabilities
from holdfast.storage.posix.driver import PosixDriver


class NoRename(PosixDriver):
    """A folder whose storage cannot rename."""

    @property
    def capabilities(self) -> Capabilities:
        """All but that."""
        return replace(super().capabilities, rename=False)

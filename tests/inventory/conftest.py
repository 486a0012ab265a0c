"""What the tests of the inventory share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import fast_folder


@pytest.fixture(name="fast_folder")
def _fast_folder() -> Iterator[Path]:
    with fast_folder.fast_folder() as folder:
        yield folder

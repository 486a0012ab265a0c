"""docs/adding-a-storage.md: its example is a driver that keeps the whole contract, and its tables name what is there.

Method: the Python blocks of the page run as one program; the suite that they define runs here, each test on a folder of
its own.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from holdfast.model.errors import BadInput
from holdfast.storage import doors
from holdfast.storage.access import Access

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/adding-a-storage.md"


def _example() -> dict[str, Any]:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    module = ModuleType("adding_a_storage")
    exec(compile("\n".join(blocks), str(PAGE), "exec"), module.__dict__)
    return module.__dict__


EXAMPLE = _example()


class TestFolderDriver(EXAMPLE["FolderSuite"]):  # type: ignore[misc]
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.root = tmp_path / "root"
        self.root.mkdir()


def test_a_root_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(BadInput):
        EXAMPLE["open_door"]("relative", site="SITE", access=Access())


def test_what_the_page_sends_people_to_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f'"{doors.GROUP}"' in text
    for file, name in (
        ("src/holdfast/storage/doors.py", "BUILT_IN"),
        ("src/holdfast/model/door_space.py", "_READERS"),
        ("tests/tidy/test_drivers.py", "TESTED_BY"),
    ):
        assert file.removeprefix("src/holdfast/") in text
        assert re.search(rf"^{name}\b", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)

"""Every protocol that is built in has a driver, and every driver's tests run the conformance suite."""

from __future__ import annotations

import ast
from pathlib import Path

from holdfast.storage import doors

TESTS = Path(__file__).parents[1] / "storage"
SUITE = "DriverSuite"

TESTED_BY = {
    "posix": "test_posix.py",
    "xroot": "test_xroot.py",
    "xrdfs": "test_xrdfs.py",
    "gfal": "test_gfal.py",
    "srm": "test_gfal.py",
    "gsiftp": "test_gfal.py",
    "http": "test_webdav.py",
    "https": "test_webdav.py",
    "dav": "test_webdav.py",
    "davs": "test_webdav.py",
    "webdav": "test_webdav.py",
    "s3": "test_s3.py",
    "dump": "test_dump.py",
}
"""Where the driver of each protocol meets the suite."""


def test_every_built_in_protocol_is_tested_by_the_suite() -> None:
    assert set(doors.BUILT_IN) == set(TESTED_BY)
    for file in sorted(set(TESTED_BY.values())):
        assert _suite_classes(file), f"{file} has no test class that runs {SUITE}"


def _suite_classes(file: str) -> list[str]:
    """The test classes that inherit from the suite, in the file or by way of what the tests share."""
    bases: dict[str, list[str]] = {}
    for path in (TESTS / file, *TESTS.parent.glob("support/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]

    def runs(name: str) -> bool:
        return name == SUITE or any(runs(base) for base in bases.get(name, []))

    own = [node.name for node in ast.walk(ast.parse((TESTS / file).read_text())) if isinstance(node, ast.ClassDef)]
    return [name for name in own if name.startswith("Test") and runs(name)]

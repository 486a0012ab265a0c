"""Every named step has a test that kills there.

Each of these tests takes the names from ``steps.STEPS`` and fails if a process
comes to its end without having been killed at one: so a step that nobody
reaches any more fails its test, and a new kind of work fails this one.
"""

from __future__ import annotations

from pathlib import Path

from holdfast.model import steps

TESTS = Path(__file__).parent.parent
KILLED = {
    "publish": "crash/test_crash.py",
    "copy": "crash/test_crash.py",
    "work": "crash/test_crash.py",
    "check": "crash/test_crash.py",
    "deletion": "crash/test_crash.py",
    "clean": "crash/test_clean_crash.py",
    "orphans": "crash/test_orphans_crash.py",
    "fts": "operations/engines/test_fts_crash.py",
    "listing": "crash/test_listing_crash.py",
    "commit": "crash/test_inventory_crash.py",
    "image": "crash/test_inventory_crash.py",
    "backup": "crash/test_inventory_crash.py",
    "restore": "crash/test_inventory_crash.py",
    "migrate": "crash/test_inventory_crash.py",
    "trim": "crash/test_trim_crash.py",
}


def test_every_work_is_killed_at_all_its_steps() -> None:
    assert KILLED.keys() == steps.STEPS.keys()
    for work, file in KILLED.items():
        assert f'STEPS["{work}"]' in (TESTS / file).read_text(), f"{file} does not kill at the steps of {work}"


def test_every_step_is_reached_somewhere_in_the_code() -> None:
    source = "\n".join(path.read_text() for path in (TESTS.parent / "src/holdfast").rglob("*.py"))
    listed = (TESTS.parent / "src/holdfast/model/steps.py").read_text()
    for name in (name for names in steps.STEPS.values() for name in names):
        assert source.count(f'"{name}"') > listed.count(f'"{name}"'), name

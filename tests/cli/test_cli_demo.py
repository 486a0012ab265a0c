"""The demonstration: it ends well, proves what it says, and stays in one folder that can be played with."""

from __future__ import annotations

from pathlib import Path

import pytest
from commanding import Commands

from holdfast.cli import demo

N_FILES = 300


@pytest.fixture
def small_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of few files, so that the test is quick; the real one is the user's."""
    library = tmp_path / "library"
    for number in range(N_FILES):
        path = library / f"package{number % 12}" / f"module{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {number}\n" * 40)
    (library / "site-packages").mkdir()
    (library / "site-packages" / "other.py").write_text("not ours")
    monkeypatch.setattr(demo.sysconfig, "get_path", lambda _name: str(library))
    return library


@pytest.mark.usefixtures("small_library")
def test_the_demonstration_ends_with_a_site_that_agrees(commands: Commands) -> None:
    ran = commands("demo", "--dir", "show")
    assert ran.code == 0, ran
    assert f"Publish its {N_FILES} files" in ran.out
    for found in ("missing", "orphan", "size mismatch", "checksum mismatch", "unlisted"):
        (line, *_) = [line for line in ran.out.splitlines() if line.startswith(found)]
        assert int(line.removeprefix(found).split()[0]) >= 3, line
    assert "T2_South agrees with the inventory" in ran.out
    assert "no violation" in ran.out
    assert [path.name for path in commands.folder.iterdir()] == ["show"]
    shown = commands.folder / "show"
    assert not (shown / "set-aside").exists()
    commands("--config", shown / "holdfast.toml", "verify")
    again = commands("--config", shown / "holdfast.toml", "check", "T2_South", "--checksums", "--ignore-age", "0")
    assert again.code == 0, again


@pytest.mark.usefixtures("small_library")
def test_a_folder_with_something_in_it_is_left_alone(commands: Commands) -> None:
    (commands.folder / "taken").mkdir()
    (commands.folder / "taken" / "mine").write_text("x")
    ran = commands("demo", "--dir", "taken")
    assert ran.code == 2
    assert "not empty" in ran.err
    assert [path.name for path in (commands.folder / "taken").iterdir()] == ["mine"]

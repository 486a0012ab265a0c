"""``holdfast demo``: the main job, from nothing to a repaired site, in one folder.

It only runs commands that a user could type, and shows each before it runs.
What it makes stays in its folder, to go on playing with.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import main, show
from holdfast.cli.damage import break_site
from holdfast.model.errors import BadInput, HoldfastError

SITES = ("T1_Origin", "T2_North", "T2_South")
BROKEN = "T2_South"
DATASET = "demo/python-library"
FOLDER = "holdfast-demo"
ENOUGH_FILES = 2000
"""With so many sources, what was compiled of them need not come along."""
AREA = "store/python"
"""Where the files lie below each site's root."""


def demo(
    folder: Annotated[
        Path | None,
        typer.Option("--dir", help="Make everything in this new folder; default: ./holdfast-demo.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Which files are damaged.")] = 1,
) -> None:
    """Publish, copy, damage, check, repair: the main job on three sites on this disk."""
    started = time.monotonic()
    place = _new_folder(folder)
    with _inside(place):
        n_files = _prepare(place)
        _publish_and_copy(n_files)
        _break_and_repair(place, seed)
    _farewell(place, time.monotonic() - started)


def _new_folder(wanted: Path | None) -> Path:
    if wanted is not None:
        if wanted.exists() and any(wanted.iterdir()):
            raise BadInput("is there and not empty", place=str(wanted), hint="name a new folder")
        wanted.mkdir(parents=True, exist_ok=True)
        return wanted.absolute()
    for number in range(1, 1000):
        place = Path(FOLDER if number == 1 else f"{FOLDER}-{number}").absolute()
        if not place.exists():
            place.mkdir()
            return place
    raise BadInput(f"there are a thousand folders named {FOLDER}-N here", hint="remove some")


@contextmanager
def _inside(place: Path) -> Iterator[None]:
    """Run commands as a user would who had gone to ``place``."""
    before, config = Path.cwd(), os.environ.pop("HOLDFAST_CONFIG", None)
    os.chdir(place)
    try:
        yield
    finally:
        os.chdir(before)
        if config is not None:
            os.environ["HOLDFAST_CONFIG"] = config


def _prepare(place: Path) -> int:
    _say("Three sites on this disk; the first already has files: the library of this Python.")
    for site in SITES:
        (place / "sites" / site).mkdir(parents=True)
    n_files = _library(place / "sites" / SITES[0] / AREA)
    _run("init")
    for site in SITES:
        _run("site", "add", site, "--root", f"sites/{site}")
    return n_files


def _library(target: Path) -> int:
    """Copy the standard library to ``target``, without what was installed on top of it; returns how many files."""
    source = Path(sysconfig.get_path("stdlib"))
    unwanted = {"site-packages", "dist-packages"}
    if sum(1 for _ in source.rglob("*.py")) > ENOUGH_FILES:
        unwanted.add("__pycache__")

    def ignored(folder: str, entries: list[str]) -> list[str]:
        return [name for name in entries if name in unwanted or Path(folder, name).is_symlink()]

    shutil.copytree(source, target, ignore=ignored)
    for path in target.rglob("*"):
        # Some systems keep theirs read-only; the demonstration will damage its copies.
        path.chmod(0o755 if path.is_dir() else 0o644)
    return sum(1 for path in target.rglob("*") if path.is_file())


def _publish_and_copy(n_files: int) -> None:
    _say(f"Publish its {n_files:,} files with checksums, where they are, and copy them to the other sites.")
    _run("publish", f"sites/{SITES[0]}/{AREA}", "--dataset", f"{DATASET}#v1", "--site", SITES[0])
    for site in SITES[1:]:
        _run("copy", f"{DATASET}#v1", "--to", site)


def _break_and_repair(place: Path, seed: int) -> None:
    damage = break_site(place / "sites" / BROKEN / AREA, aside=place / "set-aside", seed=seed)
    _say(
        f"Break {BROKEN} as real sites break: {damage.deleted} files deleted, {damage.truncated} truncated,"
        f" {damage.flipped} with one byte flipped (size and time unchanged), {damage.dark} dark files added,"
        " and a directory that cannot be listed. A check finds it all, and changes nothing. Unknown files of the"
        " last day may be on their way in and are left alone, so these need --ignore-age 0:"
    )
    judge = ("check", BROKEN, "--checksums", "--ignore-age", "0")
    _run(*judge, expect=1)
    _say(
        f"The directory is the administrator's to mend: {damage.closed.relative_to(place)}. The rest is ours:"
        " good copies from the other sites, and the dark files go, because we say so and how many at most."
    )
    damage.reopen()
    orphans = str(damage.dark)
    _run(*judge, "--repair", "--delete-orphans", "--unconfirmed", "--orphan-limit", orphans)
    _say("Proof: a second check reads everything again, and the inventory keeps its own invariants.")
    _run(*judge)
    _run("verify")


def _farewell(place: Path, seconds: float) -> None:
    _say(f"Done in {seconds:.0f} seconds. Everything is in {place}")
    show.line("Go on playing:")
    for command in (
        *_path_command(),
        f"cd {shlex.quote(str(place))}",
        "holdfast site list",
        f"holdfast dataset show '{DATASET}#v1'",
        f"holdfast whereis /{AREA}/json/__init__.py",
        "holdfast journal tail",
        f"rm sites/{SITES[1]}/{AREA}/json/__init__.py && holdfast check {SITES[1]} --repair",
        "holdfast --help",
    ):
        show.line(f"  {command}")


def _path_command() -> list[str]:
    """What makes the shell find `holdfast`, if it lies in an environment that is not active."""
    if sys.prefix == sys.base_prefix or os.environ.get("VIRTUAL_ENV") == sys.prefix:
        return []
    return [f'export PATH={shlex.quote(str(Path(sys.prefix) / "bin"))}:"$PATH"']


def _say(text: str) -> None:
    show.line()
    show.line(f"== {text}")


def _run(*words: str, expect: int = 0) -> None:
    """Show a command and run it; anything but the expected exit code ends the demonstration."""
    show.line()
    show.line(f"$ holdfast {shlex.join(words)}")
    code = main.main(list(words))
    if code != expect:
        raise HoldfastError(f"the demonstration failed: this command ended with {code}, not {expect}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)

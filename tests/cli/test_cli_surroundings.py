"""Bad surroundings: each is one clear line and exit code 2, and nothing is done.

Method: small tmpfs mounts for full disks and read-only folders where we may
mount; an unprivileged user where modes matter.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commanding import Commands, Installation, holdfast

from support.users import Unprivileged

CHANGING = ("lock", "add", "run/raw#1", "--reason", "x")


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "holdfast-test", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_an_unknown_key_names_the_nearest(installation: Installation):
    file = installation.folder / "holdfast.toml"
    file.write_text("[operations]\nconcurency = 3\n")
    for arguments in (("site", "list"), CHANGING, ("config", "show"), ("verify",), ("backup", "x")):
        installation.run(*arguments).expect_error(2, f"{file}:2", "'concurency'", "did you mean concurrency?")


def test_a_missing_configuration_says_how_to_make_one(commands: Commands):
    commands("site", "list").expect_error(2, "no configuration", "holdfast init")
    commands("--config", "x.toml", "site", "list").expect_error(2, "x.toml", "no such file", "holdfast init")


def test_a_missing_inventory_says_how_to_make_one(installation: Installation):
    shutil.rmtree(installation.folder / "state")
    installation.run("site", "list").expect_error(2, "there is no inventory", "holdfast init")


@pytest.mark.parametrize(
    "content",
    [b"", b"no database at all", b"SQLite format 3\0" + b"\xff" * 8000, None],
    ids=["empty", "text", "bad pages", "tables gone"],
)
def test_a_damaged_inventory(installation: Installation, content: bytes | None):
    file = installation.folder / "state/inventory.db"
    for log in ("-wal", "-shm"):
        file.with_name(file.name + log).unlink(missing_ok=True)
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xaa" * (len(whole) - 4096) if content is None else content)
    for arguments in (("site", "list"), CHANGING, ("verify",), ("backup", "saved.db")):
        installation.run(*arguments).expect_error(2, str(file))


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", "a\u2028b", "a\udcffb"])
def test_names_with_control_characters(installation: Installation, name: str):
    run, before = installation.run, installation.position()
    run("site", "add", name, "--root", "a").expect_error(2, "site name")
    run("site", "show", name).expect_error(2, "site name")
    run("lock", "remove", name).expect_error(2)
    run("dataset", "show", name).expect_error(2, "dataset name")
    run("lock", "add", name, "--reason", "x").expect_error(2, "dataset name")
    run("lock", "add", "--file", f"/{name}", "--reason", "x").expect_error(2, "LFN")
    run("whereis", f"/{name}").expect_error(2, "LFN")
    run("site", "pfn", "A", f"/{name}").expect_error(2, "LFN")
    assert installation.position() == before


@pytest.mark.real("tmpfs mount")
def test_a_state_folder_that_is_mounted_read_only(installation: Installation):
    state = installation.folder / "state"
    subprocess.run(["mount", "--bind", state, state], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", state], check=True)
        for arguments in (("site", "list"), CHANGING):
            installation.run(*arguments).expect_error(2, str(state), "read-only")
        installation.run("backup", state / "saved.db").expect_error(2, str(state), "read-only")
        installation.run("restore", "x", "--replace").expect_error(2, "there is no backup")
    finally:
        subprocess.run(["umount", state], check=True)
    installation.run.good(*CHANGING)


@pytest.mark.real("tmpfs mount")
def test_init_on_a_read_only_disk(commands: Commands):
    with mounted(commands.folder / "disk", "size=64k,ro"):
        commands("init", "disk").expect_error(2, "disk/holdfast.toml", "read-only")
        commands("init", "disk/deeper").expect_error(2, "disk/deeper", "read-only")


@pytest.mark.real("tmpfs mount")
def test_init_on_a_full_disk(commands: Commands):
    disk = commands.folder / "disk"
    with mounted(disk, "size=16k"):
        # As a process of its own: the store keeps the file open after a failure, and the disk could not be unmounted.
        ran = holdfast(["init", "disk"], cwd=commands.folder)
        assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1), ran
        assert "the disk" in ran.stderr
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        commands.good("init", "disk")  # What was cut short is finished.


@pytest.mark.real("tmpfs mount")
def test_a_disk_that_fills_up_loses_nothing(installation: Installation):
    state = installation.folder / "state"
    kept = installation.folder / "kept"
    shutil.move(state, kept)
    with mounted(state, "size=600k"):
        for file in kept.iterdir():
            shutil.copy(file, state)
        before = installation.position()
        try:
            with open(state / "ballast", "wb") as ballast:
                while True:
                    ballast.write(b"x" * 4096)
                    ballast.flush()
        except OSError:
            pass
        reason = "x" * 100_000
        installation.run("lock", "add", "run/raw#1", "--reason", reason).expect_error(2, "the disk")
        (state / "ballast").unlink()
        assert installation.position() == before
        installation.run.good("lock", "add", "run/raw#1", "--reason", reason)
        installation.run.good("verify")


@pytest.mark.real("tmpfs mount")
def test_a_backup_to_a_full_disk_leaves_nothing_behind(installation: Installation):
    disk = installation.folder / "disk"
    with mounted(disk, "size=64k"):
        installation.run("backup", disk / "saved.db").expect_error(2, "the disk is full")
        assert list(disk.iterdir()) == []


@pytest.mark.real("unprivileged user")
def test_folders_that_belong_to_others(unprivileged: Unprivileged):
    assert unprivileged.holdfast(["init"]).returncode == 0
    state = unprivileged.folder / "state"
    state.chmod(0o500)
    try:
        ran = unprivileged.holdfast(["site", "list"])
    finally:
        state.chmod(0o700)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1), ran
    assert f"{state}: cannot be written" in ran.stderr
    shut = unprivileged.folder / "shut"
    shut.mkdir(mode=0o000)
    ran = unprivileged.holdfast(["init", str(shut)])
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1), ran
    assert str(shut) in ran.stderr

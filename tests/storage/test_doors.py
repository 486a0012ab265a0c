"""Doors: which driver a protocol and a root lead to, plug-ins of others included, and clear refusals."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from holdfast import storage
from holdfast.model.errors import BadInput, HoldfastError, OperatorError
from holdfast.storage import doors
from holdfast.storage.access import Access
from holdfast.storage.driver import NotThere
from holdfast.storage.posix.driver import PosixDriver
from holdfast.testing.memory_driver import MemoryDriver


@pytest.mark.parametrize("prefix", ["", "file://", "file://localhost"])
def test_a_posix_door_is_a_folder_or_its_url(tmp_path: Path, prefix: str) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    root = f"{prefix}{tmp_path}"
    driver = doors.open_driver("posix", root, site="T2_XX_Here")
    assert isinstance(driver, PosixDriver)
    assert asyncio.run(driver.stat("/file")).size == 5
    with pytest.raises(NotThere) as caught:
        asyncio.run(driver.stat("/none"))
    assert caught.value.place == f"T2_XX_Here:{root}:/none"


def test_a_url_is_unquoted_and_a_folder_is_not(tmp_path: Path) -> None:
    assert doors.posix_root("file:///with%20blank") == Path("/with blank")
    assert doors.posix_root("/with%20blank") == Path("/with%20blank")


@pytest.mark.parametrize(
    "root",
    [
        "",
        "relative",
        "./here",
        "file://other.host/data",
        "http:///data",
        "file://",
        "file:///a?b",
        "file:///a%00b",
        "file:///caf%E9",
        "file://[/x",
    ],
)
def test_a_root_that_makes_no_sense_is_refused(root: str) -> None:
    with pytest.raises(BadInput, match="not the root of a posix door") as caught:
        doors.open_driver("posix", root, site="SITE")
    assert "file:///" in caught.value.hint


def test_a_root_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OperatorError) as caught:
        doors.open_driver("posix", f"file://{tmp_path}/none", site="SITE")
    assert "no such file or directory" in caught.value.message
    assert "make or mount" in caught.value.hint


def test_an_unknown_protocol_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match="gopher") as caught:
        doors.open_driver("gopher", "gopher://host", site="SITE")
    assert "posix" in caught.value.hint
    assert caught.value.place == "SITE"


def built_in(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, extra: str) -> doors.Opener:
    """The opener of a driver of our own whose file has this text."""
    monkeypatch.setattr(storage, "__path__", [*storage.__path__, str(folder)])
    (folder / "driver_of_tests.py").write_text(text)
    return doors._from_file("driver_of_tests", extra)


@pytest.mark.parametrize(
    ("extra", "hint"), [("s3", "pip install 'holdfast[s3]'"), ("", "install the Python package no_such_library")]
)
def test_a_client_library_that_is_lacking_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str, hint: str
) -> None:
    opener = built_in(tmp_path, monkeypatch, "import no_such_library.client", extra)
    with pytest.raises(OperatorError) as caught:
        opener("x://y", site="SITE", access=Access())
    assert caught.value.message.endswith("lacks its client library: there is no Python package no_such_library")
    assert (caught.value.place, caught.value.hint) == ("SITE", hint)


@pytest.mark.parametrize(
    "text", ["import holdfast.storage.no_such_part", "from holdfast.storage.driver import Nothing", "raise ImportError"]
)
def test_what_is_broken_in_holdfast_is_no_lacking_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    opener = built_in(tmp_path, monkeypatch, text, "s3")
    with pytest.raises(ImportError):
        opener("x://y", site="SITE", access=Access())


# Plug-ins: a distribution as pip would install it, on the search path.

PLUG_IN = """
from holdfast.testing.memory_driver import MemoryDriver
from holdfast.model.errors import BadInput

def open_memory(root, *, site, access):
    if root == "mem://refused":
        raise BadInput("no such memory", place=root)
    return MemoryDriver(label=f"{site}:{root}")

def open_broken(root, *, site, access):
    raise RuntimeError("the plug-in's own trouble")

def open_nothing(root, *, site, access):
    return object()
"""


def install(folder: Path, name: str, points: dict[str, str]) -> None:
    (folder / f"{name}.py").write_text(PLUG_IN)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{protocol} = {target}" for protocol, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{doors.GROUP}]", *lines, ""]))


@pytest.fixture
def plug_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    install(
        tmp_path,
        "holdfast_test_plug_in",
        {
            "testmem": "holdfast_test_plug_in:open_memory",
            "testbroken": "holdfast_test_plug_in:open_broken",
            "testnothing": "holdfast_test_plug_in:open_nothing",
            "testabsent": "holdfast_test_no_such_module:open",
            "testtwice": "holdfast_test_plug_in:open_memory",
            "posix": "holdfast_test_plug_in:open_memory",
        },
    )
    install(tmp_path, "holdfast_test_rival", {"testtwice": "holdfast_test_rival:open_memory"})
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_plug_in_needs_no_change_in_holdfast(plug_ins: Path) -> None:
    driver = doors.open_driver("testmem", "mem://a", site="SITE")
    assert isinstance(driver, MemoryDriver)
    assert driver.label == "SITE:mem://a"
    assert {"posix", "testmem"} <= set(doors.protocols())


def test_a_plug_in_never_replaces_what_is_built_in(plug_ins: Path) -> None:
    assert isinstance(doors.open_driver("posix", str(plug_ins), site="SITE"), PosixDriver)


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ("testbroken", "the plug-in's own trouble"),
        ("testabsent", "holdfast_test_no_such_module"),
        ("testnothing", "no StorageDriver"),
        ("testtwice", "several plug-ins"),
    ],
)
def test_a_plug_in_that_fails_is_the_operators_business(plug_ins: Path, protocol: str, words: str) -> None:
    with pytest.raises(OperatorError, match=words) as caught:
        doors.open_driver(protocol, "x://y", site="SITE")
    assert caught.value.place.startswith("SITE")
    assert caught.value.hint


def test_a_plug_in_may_refuse_in_our_words(plug_ins: Path) -> None:
    with pytest.raises(HoldfastError) as caught:
        doors.open_driver("testmem", "mem://refused", site="SITE")
    assert type(caught.value) is BadInput

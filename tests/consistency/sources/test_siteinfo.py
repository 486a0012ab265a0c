"""Which sites there are, by our inventory and by a file of people who have none."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from consistency.sources.catalogues import put
from holdfast.consistency.sources.siteinfo import FileSites, InventorySites, SiteInfo
from holdfast.model import changes as c
from holdfast.model.errors import BadInput, HoldfastError, OperatorError, UnknownName
from holdfast.model.pfn import PfnRules
from holdfast.model.records import Door, Site, SiteStatus, StorageType
from holdfast.testing.memory_store import MemoryStore

TEXT = """
[sites.T2_B]
storage = "tape"
status = "waitroom"
[[sites.T2_B.doors]]
protocol = "posix"
root = "/b"

[[sites.T1_A.doors]]
protocol = "davs"
root = "davs://door.example.org:2880/store"
lfn_prefix = "/store"
path_prefix = ""
[[sites.T1_A.doors]]
protocol = "xroot"
root = "root://door.example.org//store"
"""
SITES = {
    "T1_A": Site(
        "T1_A",
        (
            Door("davs", "davs://door.example.org:2880/store", PfnRules.prefix("/store", "")),
            Door("xroot", "root://door.example.org//store"),
        ),
    ),
    "T2_B": Site("T2_B", (Door("posix", "/b"),), StorageType.TAPE, SiteStatus.WAITROOM),
}


def of_inventory(tmp_path: Path) -> SiteInfo:
    store = MemoryStore(epoch="e1")
    store.commit(c.ChangeSet(tuple(map(c.PutSite, SITES.values())), actor="test", cause="test"))
    return InventorySites(store)


def of_toml(tmp_path: Path) -> SiteInfo:
    return FileSites(put(tmp_path / "sites.toml", TEXT))


def of_json(tmp_path: Path) -> SiteInfo:
    return FileSites(put(tmp_path / "sites.json", json.dumps(tomllib.loads(TEXT))))


@pytest.mark.parametrize("made", [of_inventory, of_toml, of_json])
def test_all_who_know_sites_tell_the_same_of_them(tmp_path: Path, made: Callable[[Path], SiteInfo]) -> None:
    info = made(tmp_path)
    assert info.names() == ("T1_A", "T2_B")
    assert {name: info.site(name) for name in info.names()} == SITES
    assert (info.is_ready("T1_A"), info.is_ready("T2_B")) == (True, False)
    with pytest.raises(UnknownName, match="T1_AA"):
        info.site("T1_AA")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nonsense", "is not TOML"),
        ("x = 1", "tells of no sites"),
        ("[sites]", "tells of no sites"),
        ("[sites]\nA = 1", "sites.A: is no table"),
        ("[sites.A]\nroot = '/a'", "says 'root', which is not known"),
        ("[sites.A]\nstorage = 'disk'", "has no doors"),
        ("[sites.A]\ndoors = 1", "has no doors"),
        ("[sites.A]\nstorage = 'paper'\n[[sites.A.doors]]\nprotocol = 'p'\nroot = '/'", "storage is 'paper'"),
        ("[[sites.A.doors]]\nprotocol = 'posix'", "a door has a protocol and a root"),
        ("[[sites.A.doors]]\nprotocol = 1\nroot = '/'", "a door has a protocol and a root"),
        ("[[sites.A.doors]]\nprotocol = 'p'\nroot = '/'\nlfn_prefix = '/s'", "belong together"),
        ("[[sites.'a b'.doors]]\nprotocol = 'p'\nroot = '/'", "site name 'a b'"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(BadInput) as caught:
        FileSites(put(tmp_path / "sites.toml", text))
    assert problem in str(caught.value)
    assert str(tmp_path / "sites.toml") in caught.value.place


@pytest.mark.parametrize(("name", "error"), [("none.toml", OperatorError), ("bad.json", BadInput)])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, error: type[HoldfastError]) -> None:
    put(tmp_path / "bad.json", '{"sites": ')
    with pytest.raises(error) as caught:
        FileSites(tmp_path / name)
    assert caught.value.place == str(tmp_path / name)

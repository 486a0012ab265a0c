"""``holdfast site``: what is accepted, what is shown, and what a dry run leaves alone."""

from __future__ import annotations

import pytest
from commanding import Commands, Installation


def test_list_and_show(installation: Installation):
    run = installation.run
    ran = run.good("site", "list")
    assert ran.out.splitlines()[1].split() == ["A", "ready", "disk", "posix", str(installation.folder / "a")]
    sites = run.good("site", "list", "--json").document["sites"]
    assert [site["name"] for site in sites] == ["A", "B"]
    assert sites[1]["doors"][0]["chains"] == ["/store(/.*)=>/cms{0}"]
    holds = run.good("site", "show", "B", "--json").document["holds"]
    assert holds == {
        "blocks": 1,
        "blocks_complete": 0,
        "datasets": 1,
        "datasets_complete": 0,
        "files": 1,
        "size": 10,
        "open_copies": 1,
        "open_deletions": 0,
    }
    assert "3 files, 2.0 MB" in run.good("site", "show", "A").out


def test_an_unknown_site_names_the_nearest(installation: Installation):
    installation.run("site", "show", "a").expect_error(2, "there is no site 'a'")


def test_no_sites_is_an_empty_list(commands: Commands):
    commands.good("init")
    assert commands.good("site", "list", "--json").document == {"sites": []}
    ran = commands.good("site", "list")
    assert (ran.out, ran.err) == ("", "none\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("A", "--root", "a"), 4, ("already a site A",)),
        (("C", "--root", "nowhere"), 2, ("nowhere", "no such file or directory")),
        (("C D", "--root", "a"), 2, ("'C D' is not a name",)),
        (("C\n", "--root", "a"), 2, (r"'C\n' is not a name",)),
        (("C", "--root", ""), 2, ("--root is empty",)),
        (("C", "--root", "a", "--protocol", "gopher"), 2, ("gopher",)),
        (("C", "--root", "a", "--type", "paper"), 2, ("'paper'", "--type")),
        (("C", "--root", "a", "--chain", "no arrow"), 2, ("'no arrow' is no rule",)),
        (("C", "--root", "a", "--chain", "(=>x"), 2, ("PFN rule",)),
        (("C", "--root", "a", "--chain", "(.*)=>{1}"), 2, ("PFN rule",)),
        (("C", "--root", "a", "--inverse", "(.*)=>{0}"), 2, ("--inverse without --chain",)),
        (("C", "--root", "a", "--lfn-prefix", "store"), 2, ("'store' is not absolute",)),
        (("C", "--root", "a", "--lfn-prefix", "/s", "--chain", "a=>b"), 2, ("do not go with",)),
        (("C",), 2, ("missing option '--root'", "holdfast site add --help")),
    ],
)
def test_bad_sites_are_refused(installation: Installation, arguments: tuple[str, ...], code: int, words: tuple[str]):
    before = installation.position()
    installation.run("site", "add", *arguments).expect_error(code, *words)
    assert installation.position() == before


def test_no_check_takes_a_root_that_is_not_there_yet(installation: Installation):
    installation.run.good("site", "add", "C", "--root", "/not/mounted", "--no-check", "--type", "tape")
    assert "/not/mounted" in installation.run.good("site", "show", "C").out


def test_a_root_is_taken_as_seen_from_here_with_its_links_followed(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
):
    run, folder = installation.run, installation.folder
    (folder / "c/deep").mkdir()
    (folder / "d").mkdir()
    (folder / "link").symlink_to("c/deep")
    (folder / "loop").symlink_to("loop")
    file = f"file://{folder}/d"
    monkeypatch.chdir(folder / "c")
    given = ("--config", str(folder / "holdfast.toml"), "site", "add")
    run.good(*given, "C", "--root", "../link/")
    run.good(*given, "D", "--root", file)
    run(*given, "E", "--root", "../loop").expect_error(2, "links of the root")
    monkeypatch.chdir(folder)
    sites = run.good("site", "list", "--json").document["sites"]
    assert {site["name"]: site["doors"][0]["root"] for site in sites} == {
        "A": f"{folder}/a",
        "B": f"{folder}/b",
        "C": f"{folder}/c/deep",
        "D": f"{folder}/d",
    }


@pytest.mark.parametrize("root", ["a", "a/below", "link", "file:///{here}/a/"])
def test_roots_of_two_sites_do_not_overlap(installation: Installation, root: str):
    (installation.folder / "a/below").mkdir()
    (installation.folder / "link").symlink_to("a/below")
    root = root.replace("/{here}", str(installation.folder))
    installation.run("site", "add", "C", "--root", root).expect_error(4, "C and A")


@pytest.mark.parametrize(
    ("root", "words"),
    [
        (".", ("the state folder", "/state")),
        ("/", ("the state folder",)),
        ("state", ("the state folder",)),
        ("state/site", ("the state folder",)),
        ("link/site", ("the state folder",)),
        ("reports", ("the reports folder",)),
        ("reports/site", ("the reports folder",)),
    ],
)
def test_a_root_does_not_overlap_what_is_ours(installation: Installation, root: str, words: tuple[str, ...]):
    for name in ("state/site", "reports/site"):
        (installation.folder / name).mkdir(parents=True)
    (installation.folder / "link").symlink_to("state")
    before = installation.position()
    for more in ((), ("--no-check",), ("--dry-run",)):
        installation.run("site", "add", "C", "--root", root, *more).expect_error(2, *words, "a folder of its own")
    assert installation.position() == before


def test_a_root_does_not_hold_the_configuration(commands: Commands):
    (commands.folder / "etc").mkdir()
    settings = '[inventory]\npath = "../lib/state/inventory.db"\n[consistency]\nreports = "../lib/reports"\n'
    (commands.folder / "etc/holdfast.toml").write_text(settings)
    given = ("--config", "etc/holdfast.toml")
    commands.good(*given, "init")
    commands(*given, "site", "add", "A", "--root", "etc").expect_error(2, "the configuration", "etc/holdfast.toml")
    (commands.folder / "etc/site").mkdir()
    commands.good(*given, "site", "add", "A", "--root", "etc/site")


def test_dry_runs_go_through_every_rule_and_change_nothing(installation: Installation):
    before, run = installation.position(), installation.run
    assert "nothing was done" in run.good("site", "add", "C", "--root", "c", "--dry-run").err
    assert "nothing was done" in run.good("site", "set", "A", "--status", "morgue", "--dry-run").err
    run("site", "remove", "A", "--dry-run").expect_error(4, "still has 1 block replicas")
    assert installation.position() == before


def test_set_and_remove(installation: Installation):
    run = installation.run
    run.good("site", "add", "C", "--root", "c")
    run.good("site", "set", "C", "--status", "waitroom")
    shown = run.good("site", "show", "C", "--json").document
    assert (shown["status"], shown["storage_type"]) == ("waitroom", "disk")
    run.good("site", "remove", "C")
    run("site", "show", "C").expect_error(2, "there is no site 'C'")
    run("site", "set", "A").expect_error(2, "nothing to set")


def test_setting_what_is_set_already_takes_no_position(installation: Installation):
    before = installation.position()
    installation.run.good("site", "set", "A", "--status", "ready")
    assert installation.position() == before


def test_pfn_and_its_explanation(installation: Installation):
    run = installation.run
    chains = ("--chain", "/user/(.*)=>/u/{0}", "--chain", "/(store)/(.*)=>{1}/{0};;(.*)=>/x/{0}")
    run.good("site", "add", "C", "--root", "c", *chains)
    ran = run.good("site", "pfn", "C", "/store/f", "--explain")
    assert ran.out == f"{installation.folder}/c/x/f/store\n"
    assert [line.strip() for line in ran.err.splitlines()] == [
        "chain 1 of 2: does not match",
        "step 1: /user/(.*)=>/u/{0}",
        "does not match the whole of /store/f",
        "chain 2 of 2: wins",
        "step 1: /(store)/(.*)=>{1}/{0}",
        "/store/f -> f/store, {0} = store, {1} = f",
        "step 2: (.*)=>/x/{0}",
        "f/store -> /x/f/store, {0} = f/store",
        f"root {installation.folder}/c",
    ]
    document = run.good("site", "pfn", "C", "/store/f", "--json").document
    assert document["pfn"] == f"{installation.folder}/c/x/f/store"
    assert [chain[-1]["result"] for chain in document["chains"]] == [None, "/x/f/store"]
    assert run("site", "pfn", "C", "/data/f", "--json").code == 1
    assert run("site", "pfn", "C", "/data/f").code == 1
    run("site", "pfn", "C", "/store/../f").expect_error(2, "component")
    assert "the path is the LFN" in run.good("site", "pfn", "A", "/x/y", "--explain").err


def test_a_site_has_several_doors_and_the_first_is_the_one_that_is_used(installation: Installation):
    run = installation.run
    run.good("site", "add", "C", "--root", "c", "--lfn-prefix", "/store", "--path-prefix", "/x")
    (installation.folder / "other").mkdir()
    run.good("site", "door", "add", "C", "--protocol", "posix", "--root", "other")
    shown = run.good("site", "door", "list", "C", "--json").document["doors"]
    assert [door["root"] for door in shown] == [f"{installation.folder}/{name}" for name in ("c", "other")]
    assert shown[0]["chains"] == shown[1]["chains"]  # Those of the first door, where none were given.
    other = str(installation.folder / "other")
    assert run.good("site", "pfn", "C", "/store/f").out.endswith("/c/x/f\n")
    assert run.good("site", "pfn", "C", "/store/f", "--door", other).out == f"{other}/x/f\n"
    run("site", "pfn", "C", "/store/f", "--door", "posix").expect_error(2, "several doors", "name one")
    run("site", "pfn", "C", "/store/f", "--door", "davs").expect_error(2, "no door of C 'davs'")
    run("site", "door", "add", "C", "--protocol", "posix", "--root", "other").expect_error(4, "has that door already")
    run.good("site", "door", "remove", "C", str(installation.folder / "c"))
    assert run.good("site", "pfn", "C", "/store/f").out == f"{other}/x/f\n"
    run("site", "door", "remove", "C", "posix").expect_error(4, "no other door")


def test_a_door_is_put_first_checked_and_tried_dry(installation: Installation):
    run, before = installation.run, installation.position()
    run("site", "door", "add", "A", "--protocol", "posix", "--root", "none").expect_error(2, "no such file")
    run("site", "door", "add", "A", "--protocol", "gopher", "--root", "x").expect_error(2, "no driver", "posix")
    (installation.folder / "second").mkdir()
    adding = ("site", "door", "add", "A", "--protocol", "posix", "--root", "second", "--first")
    assert "nothing was done" in run.good(*adding, "--dry-run").err
    assert installation.position() == before
    run.good(*adding)
    roots = [door["root"] for door in run.good("site", "show", "A", "--json").document["doors"]]
    assert roots[0].endswith("/second")
    assert len(roots) == 2

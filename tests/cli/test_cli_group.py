"""``holdfast group``: adding, listing, and the errors that name it."""

from __future__ import annotations

from commanding import Installation


def test_add_and_list(installation: Installation):
    run = installation.run
    assert run.good("group", "list", "--json").document == {"groups": []}
    before = installation.position()
    assert "nothing was done" in run.good("group", "add", "physics", "--dry-run").err
    assert installation.position() == before
    assert run.good("group", "add", "physics").out == "physics: added\n"
    assert run.good("group", "add", "physics").out == "physics: is there already\n"
    assert installation.position() == before + 1
    run.good("group", "add", "DataOps")
    assert run.good("group", "list", "--json").document == {"groups": [{"name": "DataOps"}, {"name": "physics"}]}
    assert run.good("group", "list").out.split() == ["group", "DataOps", "physics"]
    run("group", "add", "a b").expect_error(2, "group name")


def test_a_missing_group_says_how_to_add_it(installation: Installation):
    run = installation.run
    (installation.folder / "a/data").mkdir()
    (installation.folder / "a/data/file").write_text("x")
    publishing = ("publish", "a/data", "--dataset", "new", "--site", "A", "--group", "physics")
    run(*publishing).expect_error(2, "no group 'physics'", "holdfast group add physics")
    run(*publishing, "--dry-run").expect_error(2, "no group 'physics'", "holdfast group add physics")
    run.good("group", "add", "physics")
    run.good(*publishing, "--dry-run")
    run.good(*publishing)

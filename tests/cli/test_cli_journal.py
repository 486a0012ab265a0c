"""``holdfast journal``: the last entries, all entries, and who reads them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from commanding import Commands, Installation

from holdfast.cli import journal
from holdfast.cli.context import open_context
from holdfast.model.changes import PutGroup
from holdfast.model.records import Group


def test_tail_shows_the_last_ones_oldest_first(installation: Installation):
    for name in ("g1", "g2", "g3"):
        installation.commit(PutGroup(Group(name)))
    entries = installation.run.good("journal", "tail", "-n", "2", "--json").document["entries"]
    assert [entry["position"] for entry in entries] == [5, 6]
    assert entries[1]["changes"] == [{"kind": "put-group", "group": {"name": "g3"}}]
    lines = installation.run.good("journal", "tail", "-n", "4").out.splitlines()
    assert "tester@here" in lines[0]
    assert "create-dataset run/raw#1; register-files run/raw#1 A (3 rows); reveal-dataset run/raw#1" in lines[0]
    assert installation.run.good("journal", "tail", "-n", "0", "--json").document == {"entries": []}


def test_an_empty_journal(commands: Commands):
    commands.good("init")
    assert commands.good("journal", "tail").out == ""
    assert commands.good("journal", "export").out == ""


def test_export_is_one_line_for_each_entry(installation: Installation):
    entries = [json.loads(line) for line in installation.run.good("journal", "export").out.splitlines()]
    assert [entry["position"] for entry in entries] == [1, 2, 3]
    kinds = [change["kind"] for change in entries[2]["changes"]]
    assert kinds == ["create-dataset", "register-files", "reveal-dataset", "request-copy", "files-arrived"]
    assert entries[2]["changes"][1]["block"] == "run/raw#1::0000"
    after = installation.run.good("journal", "export", "--after", "2").out
    assert [json.loads(line)["position"] for line in after.splitlines()] == [3]


def test_cursors(installation: Installation):
    assert installation.run.good("journal", "cursors", "--json").document == {"cursors": [], "head": 3}
    store = installation.store()
    first = next(iter(store.entries(limit=1)))
    store.advance("reader", first.cursor)
    store.close()
    (cursor,) = installation.run.good("journal", "cursors", "--json").document["cursors"]
    assert (cursor["reader"], cursor["position"], cursor["behind"]) == ("reader", 1, 2)
    assert "reader" in installation.run.good("journal", "cursors").out


def test_follow_goes_on_until_interrupted(installation: Installation):
    command = [sys.executable, "-m", "holdfast.cli.main", "journal", "tail", "-n", "1", "--follow", "--json"]
    process = subprocess.Popen(
        command, cwd=installation.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["position"] == 3
        installation.commit(PutGroup(Group("late")))
        assert json.loads(process.stdout.readline())["position"] == 4
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out, err) == (130, "", "holdfast: error: interrupted\n")


def test_followers_begin_at_the_end_whatever_was_shown(commands: Commands):
    commands.good("init")
    (commands.folder / "a").mkdir()
    with open_context() as context:
        assert journal.follow_from(context.store, []) is None
        commands.good("site", "add", "A", "--root", "a")
        head = context.store.head().cursor
        assert journal.follow_from(context.store, []) == head
        assert journal.follow_from(context.store, list(context.store.entries())) == head

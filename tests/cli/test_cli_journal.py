"""``holdfast journal``: the last entries, all entries, and who reads them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from commanding import KEY, Commands, Installation

from holdfast.cli import journal
from holdfast.cli.context import open_context
from holdfast.model.changes import PutGroup, UpdateDataset
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
        assert journal.end_of(context.store) is None
        commands.good("site", "add", "A", "--root", "a")
        head = context.store.head().cursor
        assert journal.end_of(context.store) == head


def test_tail_of_one_dataset_or_site(installation: Installation):
    installation.commit(PutGroup(Group("g1")))
    installation.run.good("site", "add", "C", "--root", "c")

    def positions(*arguments: str) -> list[int]:
        document = installation.run.good("journal", "tail", "--json", *arguments).document
        return [entry["position"] for entry in document["entries"]]

    assert positions("--dataset", "run/raw#1") == [3]
    assert positions("--site", "A") == [1, 3]
    assert positions("--site", "A", "-n", "1") == [3]
    assert positions("--site", "A", "--dataset", "run/raw#1") == [3]
    assert positions("--site", "C") == [5]
    assert positions("--site", "C", "--dataset", "run/raw#1") == []
    installation.run("journal", "tail", "--dataset", "run/row#1").expect_error(
        2, "no dataset", "did you mean run/raw#1?"
    )
    installation.run("journal", "tail", "--site", "D").expect_error(2, "there is no site 'D'")


def test_tail_of_a_file_takes_no_dataset(installation: Installation):
    by_file = installation.run.good("journal", "tail", "--lfn", "/store/a/one", "--json").document
    assert by_file == installation.run.good("journal", "tail", "--dataset", "run/raw#1", "--json").document
    assert by_file["entries"]
    installation.run("journal", "tail", "--lfn", "/no/such").expect_error(2, "there is no file /no/such")
    both = installation.run("journal", "tail", "--lfn", "/store/a/one", "--dataset", "run/raw#1")
    both.expect_error(2, "say one of --lfn and --dataset")


def test_export_of_a_stretch(installation: Installation):
    def positions(*arguments: str) -> list[int]:
        out = installation.run.good("journal", "export", *arguments).out
        return [json.loads(line)["position"] for line in out.splitlines()]

    assert positions("--after", "1", "--until", "2") == [2]
    assert positions("--until", "2") == [1, 2]
    assert positions("--until", "0") == []
    assert positions("--after", "2", "--until", "1") == []
    assert positions("--after", "3") == positions("--after", "99") == []


def test_trim_and_what_stays(installation: Installation):
    for name in ("g1", "g2", "g3"):
        installation.commit(PutGroup(Group(name)))
    planned = installation.run.good("journal", "trim", "--keep-entries", "2", "--dry-run")
    assert planned.out == "would remove 4 entries, positions 1 to 4, behind a new checkpoint at position 6 or after\n"
    assert installation.run.good("journal", "export").err == ""
    trimmed = installation.run.good("journal", "trim", "--keep-entries", "2", "--json").document
    assert (trimmed["entries"], trimmed["begins_at"], trimmed["dropped"]) == (4, 5, [])
    assert (installation.folder / "state/checkpoints" / trimmed["checkpoint"]).is_file()
    exported = installation.run.good("journal", "export")
    assert [json.loads(line)["position"] for line in exported.out.splitlines()] == [5, 6]
    assert exported.err == "the export begins at position 5: earlier entries are not kept\n"
    assert installation.run.good("journal", "export", "--after", "4").err == ""
    assert installation.run.good("journal", "export", "--until", "3").out == ""
    entries = installation.run.good("journal", "tail", "--json").document["entries"]
    assert [entry["position"] for entry in entries] == [5, 6]
    assert installation.run.good("journal", "tail", "--dataset", "run/raw#1").out == ""
    assert "no violation" in installation.run.good("verify", "--quiet").out
    again = installation.run.good("journal", "trim", "--keep-entries", "2").out
    assert again == "nothing to trim: the journal begins at position 5\n"
    assert installation.run.good("journal", "trim", "--keep-days", "1").out == again


def test_trim_by_days_keeps_the_last(installation: Installation):
    told = installation.run.good("journal", "trim", "--keep-days", "0", "--quiet").out.splitlines()
    assert told[0] == "removed 2 entries, positions 1 to 2; the journal begins at position 3"
    assert told[1].startswith("history can be restarted from checkpoint 3-")
    assert installation.run.good("journal", "trim", "--keep-days", "0").out.startswith("nothing to trim")


def test_trim_has_to_be_told_what_to_keep(installation: Installation):
    installation.run("journal", "trim").expect_error(2, "what is to be kept?", "--keep-days")


@pytest.mark.parametrize("days", ["inf", "nan", "1e18", "1000001", "-1"])
def test_trim_takes_only_numbers_of_days(installation: Installation, days: str):
    installation.run("journal", "trim", "--keep-days", days).expect_error(2, "--keep-days")
    assert installation.run.good("journal", "trim", "--keep-days", "1000000").out.startswith("nothing to trim")


def test_the_remedy_for_a_lost_checkpoint_works_as_it_is_printed(installation: Installation):
    def remedy(*says: str) -> list[str]:
        told = installation.run("verify", "--quiet")
        assert told.code == 1
        assert all(each in told.out for each in says)
        return told.out.split("`")[1].split()[1:]

    trimmed = installation.run.good("journal", "trim", "--keep-entries", "1", "--json").document
    folder = installation.folder / "state/checkpoints"
    (folder / trimmed["checkpoint"]).unlink()
    lost = remedy("I12", "the checkpoint is not there")
    planned = installation.run.good(*lost, "--dry-run").out
    assert planned.endswith("would make a new checkpoint at position 3 or after: none here serves\n")
    done = installation.run.good(*lost, "--quiet").out.splitlines()
    assert done[0] == "nothing to trim: the journal begins at position 3"
    assert done[1].startswith("history can be restarted from checkpoint 3-")
    assert done[2] == "the journal was not replayed to prove it"
    assert "no violation" in installation.run.good("verify", "--quiet").out
    (made,) = folder.iterdir()
    made.write_bytes(b"x")
    installation.run.good(*remedy("I12", "not the file that was made"), "--quiet")
    assert "no violation" in installation.run.good("verify", "--quiet").out


def test_trim_cuts_no_reader_off_unasked(installation: Installation):
    store = installation.store()
    store.advance("reader", next(iter(store.entries(limit=1))).cursor)
    store.close()
    planned = installation.run.good("journal", "trim", "--keep-entries", "1", "--dry-run").out
    assert "would cut off reader reader: needs --drop-cursors" in planned
    installation.run("journal", "trim", "--keep-entries", "1").expect_error(4, "reader reader", "--drop-cursors")
    told = installation.run.good("journal", "trim", "--keep-entries", "1", "--drop-cursors", "--quiet").out
    assert "reader reader has to start again from a snapshot" in told
    known = installation.run.good("journal", "cursors", "--json").document["cursors"]
    assert [each["reader"] for each in known] == ["verify"]


def test_a_reader_can_be_dropped(installation: Installation):
    store = installation.store()
    store.advance("reader", store.head().cursor)
    store.close()
    installation.run("journal", "cursors", "--drop", "raeder").expect_error(2, "no reader 'raeder'", "mean reader?")
    assert installation.run.good("journal", "cursors", "--drop", "reader", "--json").document["cursors"] == []
    installation.run("journal", "cursors", "--drop", "reader").expect_error(2, "no reader 'reader'")


def test_verify_says_since_when(installation: Installation):
    installation.run.good("verify", "--quiet")
    installation.commit(UpdateDataset(KEY, required_copies=1))
    store = installation.store()
    with store.writing() as connection:
        connection.exec_driver_sql("UPDATE block SET size = size + 1")
    store.close()
    ran = installation.run("verify", "--quiet")
    assert ran.code == 1
    lines = ran.out.splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith("I3: ")]
    assert "(sound at position 3, now 4; these touched dataset run/raw#1 since)" in lines[place]
    assert lines[place + 1].split()[0] == "4"
    assert "tester@here" in lines[place + 1]
    (finding,) = [
        each for each in installation.run("verify", "--json").document["findings"] if each["invariant"] == "I3"
    ]
    assert (finding["since"], finding["about"]) == ([3, 4], ["dataset", "run/raw#1"])
    assert [touch["position"] for touch in finding["touches"]] == [4]

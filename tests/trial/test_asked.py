"""What was asked for, counted."""

from __future__ import annotations

from trial.asked import counted


def request(kind: str, files: int, done: int, *, reason: str = "trial", into: str | None = None):
    """As ``transfers list --json`` tells one."""
    return {"kind": kind, "files": files, "done": done, "reason": reason, "into": into}


def test_requests_are_counted_by_what_they_are_for_and_who_asked() -> None:
    by_check = "check 1 of A"
    assert counted(
        [
            request("copy", 10, 9),
            request("copy", 5, 5),
            request("copy", 3, 3, reason=by_check),
            request("orphans", 4, 4, reason=by_check, into="/.quarantine/1"),
        ]
    ) == {
        "copy, asked by a check": [1, 3, 3, 0],
        "copy, asked by people": [2, 15, 14, 1],
        "move into quarantine, asked by a check": [1, 4, 4, 0],
    }

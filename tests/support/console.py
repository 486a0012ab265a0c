"""Sessions in Markdown pages, run as they stand there.

A fenced block marked ``console`` is a session. Its lines are

    $ command            run by bash; "> " continues it on the next line
    $ command  # exit 1  the exit code it must have; 0 where none is said
    anything else        what it prints, on either stream, compared to the letter

``...`` stands for any text within a line, and on a line of its own for any
number of lines. A command without lines after it prints nothing. All blocks of
a page run one after the other in one folder that starts out empty; ``cd`` lasts,
variables do not.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_EXIT = re.compile(r"\s+# exit (\d+)\s*$")
TIMEOUT_S = 60


@dataclass
class Command:
    """One command of a session, what it prints and how it ends."""

    line: int
    text: str
    exit_code: int = 0
    output: list[str] = field(default_factory=list)


def commands(page: str) -> list[Command]:
    """Every command of a page, in order."""
    found: list[Command] = []
    for block in _BLOCK.finditer(page):
        first = page.count("\n", 0, block.start()) + 2
        current: Command | None = None
        for number, line in enumerate(block.group(1).splitlines(), first):
            if line.startswith("$ "):
                end = _EXIT.search(line)
                text = line[2 : end.start()] if end else line[2:]
                current = Command(number, text, int(end.group(1)) if end else 0)
                found.append(current)
            elif current is None:
                raise AssertionError(f"line {number}: a session begins with '$ ', not with {line!r}")
            elif line.startswith("> ") and not current.output:
                current.text += f"\n{line[2:]}"
            else:
                current.output.append(line.rstrip())
    return found


def matches(expected: list[str], printed: list[str]) -> bool:
    """Whether the lines printed are the ones expected."""
    pattern = ""
    for line in expected:
        if line == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*?".join(re.escape(part) for part in line.split("...")) + r"\n"
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None


def environment(folder: Path) -> Mapping[str, str]:
    """What a session finds: our commands first, nothing of the person who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    plain = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "120", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    return {**kept, **plain, "PATH": path, "HOME": str(folder)}


def run_session(page: str, folder: Path) -> None:
    """Run a page's commands in ``folder``; AssertionError on the first that does not do what the page says."""
    cwd_file = folder.parent / f"{folder.name}.cwd"
    cwd = folder
    for command in commands(page):
        script = f"trap 'pwd >\"{cwd_file}\"' EXIT\n{command.text}\n"
        ran = subprocess.run(
            ["bash", "-c", script],
            cwd=cwd,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
        )
        printed = [line.rstrip() for line in ran.stdout.splitlines()]
        said = f"line {command.line}: $ {command.text}\n{ran.stdout}"
        assert ran.returncode == command.exit_code, f"{said}ended with {ran.returncode}, not {command.exit_code}"
        assert matches(command.output, printed), f"{said}is not what the page says:\n" + "\n".join(command.output)
        cwd = Path(cwd_file.read_text().rstrip("\n"))

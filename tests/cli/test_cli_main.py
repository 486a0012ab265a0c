"""The command line itself: help, exit codes, and one line for whatever goes wrong.

Method: commands that fail as told are put in the place of a real one; what
needs a process (signals, pipes, start-up) gets one.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from commanding import Commands, Installation, holdfast

from holdfast import __version__
from holdfast.cli import commands as table
from holdfast.cli.failure import EXIT_CODES
from holdfast.model.errors import BadInput, BrokenInvariant, Conflict, HoldfastError, OperatorError, PeerError


@pytest.fixture
def failing(commands: Commands, monkeypatch: pytest.MonkeyPatch):
    """Run ``holdfast whereis`` with an error in the place of its work."""

    def run(error, *before: str):
        def load(_name: str):
            app = typer.Typer()

            @app.command("whereis")
            def command() -> None:
                if callable(error):
                    error()
                raise error

            return typer.main.get_group(app).commands["whereis"]

        monkeypatch.setattr(table, "load", load)
        return commands(*before, "whereis")

    return run


def test_help_lists_every_command_whole_and_every_exit_code(commands: Commands):
    out = commands.good("--help").out
    for name, entry in table.COMMANDS.items():
        assert f"  {name}  " in out
        assert entry.summary in out
    for code, meaning in EXIT_CODES.items():
        assert f"{code:>3}  {meaning}" in out
    assert commands.good("-h").out == out


def test_version(commands: Commands):
    assert commands.good("--version").out == f"holdfast {__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("site",)])
def test_without_a_command_one_gets_help(commands: Commands, arguments: tuple[str, ...]):
    ran = commands(*arguments)
    assert ran.code == 2
    assert "Usage: holdfast" in ran.err + ran.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sites",), ("'sites'", "Did you mean 'site'", "holdfast --help")),
        (("--colour",), ("--colour",)),
        (("site", "lst"), ("'lst'", "list", "holdfast site --help")),
        (("site", "show"), ("SITE", "holdfast site show --help")),
        (("site", "list", "x\ny"), ("x",)),
        (("--log-level", "loud", "site", "list"), ("loud", "--log-level")),
        (("journal", "tail", "-n", "many"), ("--count", "integer")),
        (("journal", "tail", "-n", "-1"), ("--count", "0")),
        (("demo\n",), (r"demo\n",)),
    ],
)
def test_wrong_words_are_one_line(commands: Commands, arguments: tuple[str, ...], words: tuple[str, ...]):
    commands(*arguments).expect_error(2, *words)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (BadInput("no good", place="f:3", hint="mend it"), 2, "f:3: no good (mend it)"),
        (OperatorError("full"), 2, "full"),
        (PeerError("down", place="A:/x\n\x1b[0m"), 3, r"A:/x\n\x1b[0m: down"),
        (Conflict("taken", rows=("a",)), 4, "taken"),
        (HoldfastError("odd", hint="look"), 70, "odd (look)"),
        (OSError(errno.ENOSPC, "x", "/f\ng"), 2, r"/f\ng: the disk is full (free some space)"),
        (OSError(errno.EROFS, "x", "/f"), 2, "/f: is on a read-only file system (mount it writable"),
        (PermissionError(errno.EACCES, "x", b"/f", None, "/g"), 2, "b'/f' and /g: we may not use it"),
        (MemoryError(), 2, "out of memory"),
        (ExceptionGroup("two", [PeerError("down"), ExceptionGroup("more", [BadInput("no")])]), 3, "down [and 1 more]"),
        (BaseExceptionGroup("one", [KeyboardInterrupt()]), 130, "interrupted"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (typer.Abort(), 130, "given up"),
        (typer.BadParameter("not\nthis"), 2, r"whereis: invalid value: not\nthis"),
        ("\udcff".encode, 2, r"'\udcff' has bytes that are not UTF-8 (rename it)"),
    ],
)
def test_errors_are_one_line_and_their_code(failing, error, code: int, line: str):
    ran = failing(error)
    ran.expect_error(code)
    assert ran.err.startswith(f"holdfast: error: {line}")
    assert code in EXIT_CODES


@pytest.mark.parametrize("error", [ValueError("a\nb"), OSError(errno.EBADF, "x"), BrokenInvariant("cannot be")])
def test_bugs_say_so_and_show_a_traceback_only_when_asked(failing, monkeypatch, error: Exception):
    failing(error).expect_error(70, "please report it")
    assert "Traceback" in failing(error, "--debug").err
    monkeypatch.setenv("HOLDFAST_DEBUG", "1")
    ran = failing(error)
    assert "Traceback" in ran.err
    assert ran.err.splitlines()[-1].startswith("holdfast: error: ")
    monkeypatch.setenv("HOLDFAST_DEBUG", "0")
    failing(error).expect_error(70)


def test_a_reader_that_goes_away_is_no_error(installation: Installation):
    command = f"{sys.executable} -m holdfast.cli.main journal export"
    script = f"{command} | true; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", script], cwd=installation.folder, capture_output=True, text=True)
    assert ran.stderr == ""
    assert ran.stdout.strip() in ("141", "0")


def test_standard_output_on_a_full_disk(installation: Installation):
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "holdfast.cli.main", "site", "list"],
            cwd=installation.folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert ran.returncode == 2
    assert ran.stderr == "holdfast: error: the disk is full (free some space)\n"


def test_names_that_the_terminal_cannot_write_are_escaped(installation: Installation):
    env = {"PYTHONIOENCODING": "ascii"}
    ran = holdfast(["dataset", "files", "run/raw#1"], cwd=installation.folder, env=env)
    assert ran.returncode == 0
    assert r"drei-\xdf" in ran.stdout


def test_shell_completion_knows_the_commands(commands: Commands):
    env = {"_HOLDFAST_COMPLETE": "complete_bash", "COMP_WORDS": "holdfast site s", "COMP_CWORD": "2"}
    ran = holdfast([], cwd=commands.folder, env=env)
    assert ran.stdout.split() == ["show", "set"], ran.stderr
    env |= {"COMP_WORDS": "holdfast wh", "COMP_CWORD": "1"}
    assert holdfast([], cwd=commands.folder, env=env).stdout.split() == ["whereis"]


LOADED = """
import json, sys
from holdfast.cli.main import main
code = main(sys.argv[1:])
sys.stderr.write(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


@pytest.mark.parametrize(
    ("arguments", "light_of"),
    [
        (["--help"], {"sqlalchemy", "pydantic", "duckdb", "pyarrow", "rich", "structlog", "asyncio"}),
        (["--version"], {"sqlalchemy", "pydantic", "duckdb", "pyarrow", "rich", "structlog", "asyncio"}),
        (["compare", "--help"], {"sqlalchemy"}),
        (["site", "list"], {"duckdb", "pyarrow", "rich", "structlog"}),
        (["dataset", "list"], {"duckdb", "pyarrow", "rich", "structlog"}),
        (["whereis", "/store/a/one"], {"duckdb", "pyarrow", "rich", "structlog"}),
        (["journal", "tail"], {"duckdb", "pyarrow", "rich", "structlog"}),
    ],
)
def test_a_command_loads_only_what_it_needs(installation: Installation, arguments: list[str], light_of: set[str]):
    env = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], cwd=installation.folder, capture_output=True, text=True, env=env
    )
    code, loaded = json.loads(ran.stderr)
    assert code == 0
    assert light_of & set(loaded) == set()


def test_the_console_entry_is_the_main_function():
    script = Path(sys.executable).with_name("holdfast")
    if not script.exists():
        pytest.skip("not installed as a script here")
    ran = subprocess.run([script, "--version"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, f"holdfast {__version__}\n")

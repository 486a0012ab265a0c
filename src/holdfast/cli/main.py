"""The command line: ``holdfast``.

Parses what stands before the command's name, loads that command, runs it, and
turns whatever goes wrong into one line on standard error and an exit code
(``failure.py``). Commands raise; they never print an error themselves. A
command that ends well but has found something (a difference, an unfinished
request) raises ``typer.Exit(1)``.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast import __version__
from holdfast.cli import collecting, commands, failure, options
from holdfast.cli.failure import EXIT_CODES
from holdfast.cli.options import LogLevel, Options

DEBUG_VARIABLE = "HOLDFAST_DEBUG"
_COMPLETE_VARIABLE = "_HOLDFAST_COMPLETE"

_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())


def build() -> Any:
    """The group of all commands, ready to run."""
    app = typer.Typer(
        name="holdfast",
        cls=commands.LazyGroup,
        no_args_is_help=True,
        # Without Rich's markup: help texts may then hold [brackets], and look the same in a pipe.
        rich_markup_mode=None,
        epilog=_EPILOG,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(_root)
    return typer.main.get_command(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"holdfast {__version__}\n")
        raise typer.Exit


def _root(
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="The configuration; default: $HOLDFAST_CONFIG, ./holdfast.toml."),
    ] = None,
    log_level: Annotated[
        LogLevel | None, typer.Option("--log-level", help="Log from this level on, whatever the configuration says.")
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Log everything, and show the traceback of an error; also HOLDFAST_DEBUG=1.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Holdfast keeps what the catalogues say and what the storage holds the same.

    Begin with `holdfast demo`, or with `holdfast init` and `holdfast site add`.

    With --json a command prints one JSON object; what it lists is in it under the
    plural of its name ({"sites": [...]}). A --dry-run goes through every check of
    the command itself and is refused where that would be.
    """
    options.current.set(Options(config=config, debug=debug or _debug_by_environment(), log_level=log_level))


def _debug_by_environment() -> bool:
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. The console entry point."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options.current.set(Options(debug=_debug_by_environment()))
    _make_printable()
    collecting.look_seldom()
    if os.environ.get(_COMPLETE_VARIABLE):
        build().main(args=given, prog_name="holdfast")  # Ends the process: a shell asks for words to complete.
    try:
        try:
            code = _run(given)
        finally:
            sys.stdout.flush()  # Here, where a full disk or a closed pipe can still be answered for.
    except typer.Exit as error:
        code = error.exit_code
    # The last place where anything can be said; interruption included.
    except BaseException as error:  # noqa: BLE001
        code = _answer_for(error)
    return code


def _run(arguments: list[str]) -> int:
    # Not ``group.main``: that has answers of its own to interruptions and closed pipes.
    group = build()
    with group.make_context("holdfast", arguments) as context:
        group.invoke(context)
    return 0


def _answer_for(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        raise error
    if error.__class__.__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{error}\n")
        return 2
    said = failure.of(error)
    _drop_what_cannot_be_written()
    if options.current.get().debug and not isinstance(error, KeyboardInterrupt):
        sys.stderr.write("".join(traceback.format_exception(error)))
    if said.text:
        sys.stderr.write(f"{said.line}\n")
    return said.exit_code


def _drop_what_cannot_be_written() -> None:
    """What is still in the buffer would fail again when the interpreter ends, and then change the exit code."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _make_printable() -> None:
    """A name that the terminal's encoding lacks is escaped instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())

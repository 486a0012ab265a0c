"""Failure: from whatever went wrong to one line on standard error and an exit code.

Rules
  * The line is one line: what is shown in it has no control characters.
  * Our own family speaks for itself. What the machine refuses (disk full,
    read-only, not allowed) is the operator's business wherever it surfaces.
    Everything else is a bug of ours, and says so.
  * Exit codes are those of ``EXIT_CODES``; ``holdfast --help`` prints them.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

import typer

from holdfast.cli.show import escape
from holdfast.model.errors import HoldfastError

EXIT_CODES: dict[int, str] = {
    0: "done, and all is well",
    1: "something differs, is not found or is unfinished",
    2: "bad input, or a surrounding that the operator must put right",
    3: "a storage or service on the far side failed",
    4: "a precondition does not hold; nothing was done",
    70: "a bug in Holdfast or a broken invariant: please report it",
    130: "interrupted",
}
"""What the shell sees. Beside these, 141: the reader of our output went away."""

BUG, INTERRUPTED, BROKEN_PIPE = 70, 130, 141

# Typer carries a Click of its own in newer releases and uses the common one in
# older; its public BadParameter leads to the base of usage errors in either.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]
ClickException: type[Exception] = UsageError.__bases__[0]

_MACHINE: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", "free some space"),
    errno.EDQUOT: ("the quota is used up", "free some space"),
    errno.EROFS: ("is on a read-only file system", "mount it writable, or choose another place"),
    errno.EACCES: ("we may not use it", "look at its owner and mode"),
    errno.EPERM: ("the system does not allow it", "look at its owner and mode"),
    errno.EMFILE: ("too many open files", "raise the limit: ulimit -n"),
    errno.ENFILE: ("too many open files on this machine", "raise the limit: sysctl fs.file-max"),
    errno.EIO: ("the disk reports an error", "look at the system log"),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """What is said and what the shell sees; "" is silence."""

    text: str
    exit_code: int

    @property
    def line(self) -> str:
        """The line without its end."""
        return f"holdfast: error: {escape(self.text)}"


def of(error: BaseException) -> Failure:
    """What there is to say of ``error``."""
    match error:
        case BaseExceptionGroup():
            return _of_group(error)
        case HoldfastError():
            hint = error.hint or (_REPORT if error.exit_code == BUG else "")
            return Failure(_sentence(error.message, error.place, hint), error.exit_code)
        case KeyboardInterrupt():
            return Failure("interrupted", INTERRUPTED)
        case BrokenPipeError():
            return Failure("", BROKEN_PIPE)
        case OSError() if error.errno in _MACHINE:
            problem, hint = _MACHINE[error.errno]
            return Failure(_sentence(problem, _names(error), hint), 2)
        case UnicodeEncodeError() if error.reason == "surrogates not allowed":
            return Failure(f"{error.object[:120]!r} has bytes that are not UTF-8 (rename it)", 2)
        case MemoryError():
            return Failure("out of memory (give this process more, or a smaller task)", 2)
        case typer.Abort():
            return Failure("given up", INTERRUPTED)
        case _ if isinstance(error, ClickException):
            return Failure(_usage(error), getattr(error, "exit_code", 2))
    return Failure(_sentence(f"{error.__class__.__name__}: {error}", "unexpected", _REPORT), BUG)


_REPORT = "this should not happen, please report it with what `holdfast --debug` prints"


def _sentence(message: str, place: str, hint: str) -> str:
    return f"{f'{place}: ' if place else ''}{message}{f' ({hint})' if hint else ''}"


def _names(error: OSError) -> str:
    named = [name for name in (error.filename, error.filename2) if name is not None]
    return " and ".join(name if isinstance(name, str) else repr(name) for name in named)


def _of_group(group: BaseExceptionGroup[BaseException]) -> Failure:
    """What happened in several tasks at once: the gravest, and how many more."""
    leaves = list(_leaves(group))
    failures = [of(leaf) for leaf in leaves]
    worst = max(failures, key=lambda failure: failure.exit_code)
    others = len(failures) - 1
    return Failure(f"{worst.text} [and {others} more]", worst.exit_code) if others and worst.text else worst


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for each in group.exceptions
        for leaf in (_leaves(each) if isinstance(each, BaseExceptionGroup) else [each])
    ]


def _usage(error: BaseException) -> str:
    """A usage error in one line, with the command it belongs to."""
    message = str(getattr(error, "format_message", lambda: str(error))()).strip().rstrip(".")
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    path = context.command_path.partition(" ")[2]
    words = f"{message[:1].lower()}{message[1:]}".replace(": Value error, ", ": ", 1)  # A word of Typer's own library.
    return _sentence(words, path, f"see `{context.command_path} --help`")

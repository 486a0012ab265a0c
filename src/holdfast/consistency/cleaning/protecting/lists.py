"""Lists: what a source of protected paths has sent, and whether it is to be believed.

A list is a JSON list of texts, or a JSON object that has one under a known key,
or lines, one path each. A path is one at the site, or an LFN.

Rules
  * One wrong entry makes the whole list wrong: nobody knows what else is wrong
    with it. So does one with an asterisk, or with blanks around it. A slash at
    the end of a path counts for nothing, nor do empty lines.
  * Lines end with a newline, the last one, too: a list that was cut off shows.
  * An empty list is not believed, nor one that has lost too much since the last
    time, nor one that repeats itself too often.

Pure. Raises NotBelieved, which says what is wrong and where in the list.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.model import names
from holdfast.model.errors import InvalidName, PeerError

SHOWN_CHARS = 60


class NotBelieved(PeerError):
    """A list of protected paths that makes no sense, or may not be whole; nothing is cleaned by it."""


@dataclass(frozen=True, slots=True)
class Belief:
    """How much a list may have lost since the last time, and how much of it may be repetition; fractions."""

    shrunk_max: float = 0.5
    repeated_max: float = 0.5


def parse(data: bytes, *, key: str = "") -> tuple[str, ...]:
    """The paths of a list as it was sent, in its order; ``key``: where in a JSON object the list is."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise NotBelieved(f"the list is not UTF-8, at byte {error.start}") from error
    begin = text.lstrip("\ufeff \t\r\n")[:1]
    if begin == "<":
        raise NotBelieved(
            "this is a web page, or XML, and not a list", hint="look at it with a browser: a log-in page?"
        )
    if begin in ("[", "{"):
        return checked(_of_json(text, key))
    if text and not text.endswith("\n"):
        raise NotBelieved("the list breaks off: its last line does not end", hint="end every line with a newline")
    return checked(line for each in text.split("\n") if (line := each.removesuffix("\r")))


def checked(entries: Iterable[object]) -> tuple[str, ...]:
    """Entries of a list as paths; NotBelieved for the first that is none."""
    paths = []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, str):
            raise NotBelieved(f"entry {number} of the list is no text but {_shown(repr(entry))}")
        if entry != entry.strip() or "*" in entry:
            # As it stands it would protect nothing, and hardly be meant so.
            what = "a pattern" if "*" in entry else "a path with blanks around it"
            message = f"entry {number} of the list is {what}: {_shown(repr(entry))}"
            raise NotBelieved(message, hint="name each directory")
        try:
            paths.append(names.directory(entry.rstrip("/") or "/"))
        except InvalidName as error:
            raise NotBelieved(f"entry {number} of the list is no absolute path: {error.message}") from error
    return tuple(paths)


def judge(paths: tuple[str, ...], n_before: int | None, belief: Belief) -> None:
    """NotBelieved if a list is not to be believed; ``n_before``: how many paths it had the last time, if known."""
    if not paths:
        raise NotBelieved(
            "the list of protected paths is empty", hint="an empty list protects nothing: look at its source"
        )
    n_different = len(set(paths))
    if len(paths) - n_different > belief.repeated_max * len(paths):
        raise NotBelieved(f"the list repeats itself: of {len(paths):,} entries only {n_different:,} are different")
    if n_before is not None and n_different < (1 - belief.shrunk_max) * n_before:
        raise NotBelieved(
            f"the list has {n_different:,} paths, and had {n_before:,} before",
            hint="look at its source; if so few are right, say --despite-shrunk",
        )


def _of_json(text: str, key: str) -> list[object]:
    try:
        document = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise NotBelieved(f"the list is no JSON: {_shown(str(error))}") from error
    if isinstance(document, dict):
        if key not in document or not key:
            found = ", ".join(sorted(map(str, document)))
            hint = f"protected_key says under which key the list is; there are {_shown(found)}"
            raise NotBelieved("this is a JSON object, and not a list", hint=hint)
        document = document[key]
    if not isinstance(document, list):
        raise NotBelieved(f"what is under the key {_shown(key)} is no list")
    return document


def _shown(text: str) -> str:
    plain = text.encode("unicode_escape").decode("ascii")
    return plain if len(plain) <= SHOWN_CHARS else f"{plain[:SHOWN_CHARS]}..."

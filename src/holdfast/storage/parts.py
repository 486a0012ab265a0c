"""Parts: files on their way, and the names they have until they are whole.

A part lies in the directory of the file it will become. It may stay behind
when a process dies; then nobody owns it, and cleaners recognise it by its
name alone.

Rules
  * A part's name never collides with a file's by accident: the prefix is ours
    and the token is random or belongs to one task.
  * Listings show parts like any other file; the readers of listings decide.
  * The name says nothing about the file, so that it is never too long.
"""

from __future__ import annotations

import re
import secrets

from holdfast.model import names
from holdfast.model.errors import BadInput

PREFIX = ".holdfast-part-"

_TOKEN = re.compile(r"[0-9a-z]{1,64}\Z")


def part_name(token: str | None = None) -> str:
    """A part's name: with the ``token`` of a task (0-9 a-z, at most 64), or with a random one."""
    if token is None:
        token = secrets.token_hex(16)
    elif not _TOKEN.match(token):
        raise BadInput(f"{token[:80]!r} cannot be the token of a part", hint="1 to 64 of 0-9 a-z")
    return PREFIX + token


def part_path(path: str, token: str | None = None) -> str:
    """Where the part of the file ``path`` lies: beside it."""
    return names.join(names.split(path)[0], part_name(token))


def is_part_name(name: str) -> bool:
    """Whether ``name`` is that of a part, of whatever task."""
    return name.startswith(PREFIX) and _TOKEN.match(name, len(PREFIX)) is not None


def token_of(name: str) -> str | None:
    """The token in a part's name; None if it is not a part's name."""
    return name[len(PREFIX) :] if is_part_name(name) else None

"""Templates of commands: arguments with ``{...}`` in them that stand for what is known of a file or a batch.

Rules
  * An argument stays one argument, whatever is put into it: nothing is ever
    read by a shell, and no value is looked at for further ``{...}``.
  * ``{{`` and ``}}`` are braces. Anything else in braces is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from holdfast.model import checksums

OF_FILE = (
    "source",
    "source_site",
    "source_path",
    "destination",
    "destination_site",
    "destination_path",
    "size",
    "checksum",
    *checksums.DIGITS,
)
"""What stands for one file; the name of an algorithm for its checksum by that one."""
OF_BATCH = ("list", "report", "source_site", "destination_site", "streams")
"""What stands for a batch."""

_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def fields_of(template: Sequence[str]) -> frozenset[str]:
    """The names that stand in braces; ValueError for a brace without its other one."""
    found = set()
    for argument in template:
        for match in _FIELD.finditer(argument):
            if match.group() in ("{", "}"):
                raise ValueError("template has a brace without its other one; write {{ or }} for a brace itself")
            if match.group(1) is not None:
                found.add(match.group(1))
    return frozenset(found)


def is_of_batches(template: Sequence[str]) -> bool:
    """Whether it is run for whole batches."""
    return "list" in fields_of(template)


def check(template: Sequence[str]) -> None:
    """ValueError unless it can be run: for files with source and destination, or for batches with a list."""
    fields = fields_of(template)
    is_batch = "list" in fields
    known = OF_BATCH if is_batch else OF_FILE
    unknown = sorted(fields.difference(known))
    if unknown:
        shown = ", ".join(f"{{{name}}}" for name in known)
        raise ValueError(f"template has {{{unknown[0]}}}, which stands for nothing there; there are {shown}")
    if not is_batch and not {"source", "source_path"} & fields:
        raise ValueError("template has neither {source} nor {list}")
    if not is_batch and not {"destination", "destination_path"} & fields:
        raise ValueError("template has no {destination}")
    if fields_of(template[:1]):
        raise ValueError("template must begin with a program, not with what stands for something else")


def filled(template: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """The arguments with the values in place; KeyError for a name that has none."""

    def put(match: re.Match[str]) -> str:
        return match.group()[0] if match.group(1) is None else values[match.group(1)]

    return tuple(_FIELD.sub(put, argument) for argument in template)

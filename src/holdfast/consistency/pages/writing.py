"""Writing: a page or a document into its place, whole or not at all.

Whoever looks at the folder meanwhile sees the page that was, or the new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.consistency.durable import sync
from holdfast.model.errors import OperatorError


def write(target: Path, text: str) -> None:
    """Put ``text`` there; folders on the way are made."""
    with told(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.parent / f".{target.name}.part"
        try:
            part.write_text(text, encoding="utf-8")
            sync(part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def told(target: Path) -> Iterator[None]:
    """What the system refuses while ``target`` is written comes out as OperatorError."""
    try:
        yield
    except OSError as error:
        raise OperatorError(f"cannot be written: {error.strerror}", place=str(target)) from error

"""Wording: numbers as people read them, the same in the journal and on the screen. Pure."""

from __future__ import annotations


def size(n_bytes: int) -> str:
    """Bytes, decimal: ``999 B``, ``1.5 kB``, ``2.0 TB``."""
    amount = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if abs(amount) < 999.95 or unit == "PB":
            break
        amount /= 1000
    return f"{n_bytes} B" if unit == "B" else f"{amount:.1f} {unit}"


def number(count: int) -> str:
    """A number with thousands apart: ``12,345``."""
    return f"{count:,}"


def about(name: str, text: str) -> str:
    """What is said of something, with its name once."""
    return text if name in text else f"{name}: {text}"


def plural(count: int, noun: str) -> str:
    """``1 file``, ``2,000 files``."""
    return f"{number(count)} {noun}" if count == 1 else f"{number(count)} {noun}s"

"""Hints: where else to ask, said the same by several commands."""

from __future__ import annotations


def findings_below(site: str | None = None) -> str:
    """The command that tells of what no dataset has, at a site or at any."""
    return f"`holdfast consistency findings {site or 'SITE'} --below PATH` (what is over: with --former)"

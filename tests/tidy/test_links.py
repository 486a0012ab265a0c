"""Relative links in the Markdown pages lead somewhere, headings included."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tidy.rules import checkout_files

ROOT = Path(__file__).parents[2]
PAGES = [source.path for source in checkout_files(ROOT) if source.path.endswith(".md")]
_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)|!\[[^\]\n]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings make."""
    headings = re.findall(r"^#+\s+(.*)$", _CODE.sub(lambda m: m.group().strip("`"), text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    broken = []
    for found in _LINK.finditer(_CODE.sub("", page.read_text())):
        target = found.group(1) or found.group(2)
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        heading_missing = anchor and file.suffix == ".md" and file.exists() and anchor not in anchors(file.read_text())
        if not file.exists() or heading_missing:
            broken.append(target)
    return broken


def test_there_are_pages():
    assert {"README.md", "docs/architecture.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_links_resolve(page: str):
    assert broken_links(ROOT / page) == []


def test_a_broken_link_is_noticed(tmp_path: Path):
    page = tmp_path / "a.md"
    page.write_text(
        "# One `b` two\n[x](a.md) [y](#one-b-two) [z](https://x.example) `[n](none)` ![p](gone.png)\n[q](#no)"
    )
    assert broken_links(page) == ["gone.png", "#no"]

"""Strategies: names, checksums, files, datasets and sites for hypothesis, valid and not.

What is called ``…s`` draws values that Holdfast accepts, odd ones preferred;
what is called ``bad_…s`` draws values that it must refuse with an error of its
own. Text that is merely hostile is in ``hostile_text``: whatever takes text
from outside may accept or refuse it, and does nothing else.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from holdfast.model import names
from holdfast.model.checksums import DIGITS
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.pfn import PfnRules
from holdfast.model.records import (
    Dataset,
    DatasetStatus,
    Door,
    FileColumns,
    Lock,
    Permission,
    Site,
    SiteStatus,
    Staging,
    StorageType,
)

WORD_CHARACTERS = "abcXYZ019_.-"
FORBIDDEN = "\x00\t\n\r\x1b\x7f\x85\u2028\u2029\udc80\udcff\ud800"
"""Characters that no name may have."""
_ANY_TEXT = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_TEXT = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])


def hostile_text() -> st.SearchStrategy[str]:
    """Any text at all: control characters, lone surrogates, dots, slashes, very long."""
    pieces = st.sampled_from(
        ["/", "//", ".", "..", "#", "::", "\0", "\n", "\u2028", "\udcff", "a", "é", "x" * 300, " "]
    )
    return st.one_of(st.text(max_size=20), st.lists(pieces, max_size=8).map("".join))


def words() -> st.SearchStrategy[str]:
    """Names of sites and groups."""
    return st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}", fullmatch=True)


def bad_words() -> st.SearchStrategy[str]:
    """What cannot name a site or a group."""
    odd = st.sampled_from([" ", "/", "#", ":", "é", "\n", "\0", "*"])
    return st.one_of(
        st.sampled_from(["", "_a", ".a", "-a", "a" * 65, "a\n"]),
        st.builds(lambda first, middle, last: first + middle + last, words(), odd, words()),
    )


def components(bytes_max: int = names.COMPONENT_BYTES_MAX) -> st.SearchStrategy[str]:
    """Names of files and of single directories."""
    plain = st.text(_TEXT, min_size=1, max_size=12)
    long = st.text("aé\U0001f4be", min_size=1, max_size=bytes_max).map(lambda text: _cut(text * 30, bytes_max))
    return st.one_of(
        plain, plain, st.sampled_from([" ", "...", "-rf", "a'b\"c", "{0}", "%2F", "#", "::"]), long
    ).filter(lambda text: "/" not in text and text not in (".", "..") and len(text.encode()) <= bytes_max)


def _cut(text: str, bytes_max: int) -> str:
    return text.encode()[:bytes_max].decode(errors="ignore")


def bad_components() -> st.SearchStrategy[str]:
    """What cannot name a file."""
    with_bad = st.builds(
        lambda a, bad, b: a + bad + b, components(100), st.sampled_from(FORBIDDEN + "/"), components(100)
    )
    return st.one_of(st.sampled_from(["", ".", "..", "x" * 256, "é" * 128]), with_bad)


def directories() -> st.SearchStrategy[str]:
    """Directories of LFNs."""
    return st.lists(components(200), max_size=3).map(lambda parts: "/" + "/".join(parts))


def lfns() -> st.SearchStrategy[str]:
    """LFNs."""
    return st.builds(names.join, directories(), components())


def bad_lfns() -> st.SearchStrategy[str]:
    """What is no LFN."""
    inside = st.builds(
        lambda before, bad, after: f"{before.rstrip('/')}/{bad}/{after}",
        directories(),
        bad_components(),
        components(100),
    ).filter(lambda text: _has_bad_component(text) or _has_forbidden(text))
    return st.one_of(
        st.sampled_from(["", "/", "relative", "/a/", "//a", "/" + "/".join(["x" * 200] * 6)]),
        st.builds(names.join, directories(), bad_components().filter(lambda text: "/" not in text)),
        inside,
    )


def _has_bad_component(text: str) -> bool:
    parts = text[1:].split("/")
    return any(part in ("", ".", "..") or len(part.encode(errors="surrogatepass")) > 255 for part in parts)


def _has_forbidden(text: str) -> bool:
    return any(character in FORBIDDEN for character in text)


def versions() -> st.SearchStrategy[str]:
    """Versions of datasets."""
    return st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.\-+]{0,63}", fullmatch=True)


def dataset_keys() -> st.SearchStrategy[DatasetKey]:
    """Datasets' identities."""
    part = components(60).filter(lambda text: "#" not in text and "::" not in text)
    parts = st.lists(part, min_size=1, max_size=4).map("/".join)
    text = st.one_of(parts, parts.map(lambda name: f"/{name}"))
    plain = text.filter(lambda name: name == name.strip() and "::" not in name)
    return st.builds(DatasetKey, plain, st.one_of(st.just(""), versions()))


def block_names() -> st.SearchStrategy[str]:
    """Names of blocks within a dataset."""
    plain = components(names.BLOCK_BYTES_MAX)
    return plain.filter(lambda text: "#" not in text and "::" not in text and not text.startswith(":"))


def block_keys() -> st.SearchStrategy[BlockKey]:
    """Blocks' identities."""
    return st.builds(BlockKey, dataset_keys(), block_names())


def digests(algorithm: str) -> st.SearchStrategy[str]:
    """Normalised digests of one algorithm."""
    bits = 4 * DIGITS[algorithm]
    return st.integers(0, 2**bits - 1).map(lambda number: f"{number:0{DIGITS[algorithm]}x}")


def checksums() -> st.SearchStrategy[dict[str, str]]:
    """The known checksums of one file."""
    return st.fixed_dictionaries({}, optional={algorithm: digests(algorithm) for algorithm in DIGITS})


@st.composite
def file_columns(draw: st.DrawFn, *, min_size: int = 1, max_size: int = 8) -> FileColumns:
    """Files with different LFNs, as columns."""
    dirs = draw(st.lists(directories(), min_size=1, max_size=3, unique=True))
    place = st.tuples(st.integers(0, len(dirs) - 1), components())
    rows = draw(st.lists(place, min_size=min_size, max_size=max_size, unique=True))
    known = draw(st.sets(st.sampled_from(sorted(DIGITS))))
    return FileColumns(
        dirs=tuple(dirs),
        dir_index=tuple(place for place, _ in rows),
        names=tuple(name for _, name in rows),
        sizes=tuple(draw(st.integers(0, 2**50)) for _ in rows),
        checksums={
            algorithm: tuple(draw(st.one_of(st.none(), digests(algorithm))) for _ in rows)
            for algorithm in sorted(known)
        },
    )


def file_sets(n_files_max: int = 40) -> st.SearchStrategy[FileSet]:
    """Sets of ordinals below ``n_files_max``."""
    return st.integers(0, 2**n_files_max - 1).map(FileSet)


def json_values() -> st.SearchStrategy[Any]:
    """What metadata may hold."""
    text = st.text(_ANY_TEXT, max_size=8)
    numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
    leaves = st.one_of(st.none(), st.booleans(), numbers, text)
    return st.recursive(
        leaves,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
        max_leaves=6,
    )


def metadata() -> st.SearchStrategy[dict[str, Any]]:
    """Metadata of a dataset."""
    return st.dictionaries(st.text(_ANY_TEXT, max_size=8), json_values(), max_size=3)


def pfn_rules() -> st.SearchStrategy[PfnRules]:
    """No rules, or rules that exchange a prefix."""
    return st.one_of(st.just(PfnRules()), st.builds(PfnRules.prefix, st.sampled_from(["", "/data"]), directories()))


def sites(name: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[Site]:
    """Sites with one door or two."""
    door = st.builds(Door, st.sampled_from(["posix", "root", "davs"]), directories(), pfn_rules())
    doors = st.lists(door, min_size=1, max_size=2).map(tuple)
    return st.builds(Site, name or words(), doors, st.sampled_from(StorageType), st.sampled_from(SiteStatus))


def datasets(*, site: str = "") -> st.SearchStrategy[Dataset]:
    """Datasets that may be created; staged at ``site`` if one is given."""
    staging = st.builds(Staging, st.just(site), directories()) if site else st.none()
    made = st.builds(
        Dataset,
        dataset_keys(),
        st.sampled_from(DatasetStatus),
        st.sampled_from(["", "raw"]),
        st.sampled_from(["", "v1.2"]),
        metadata(),
        st.booleans(),
        st.integers(1, 5),
        staging,
    )
    return made.filter(lambda dataset: not (dataset.is_open and dataset.key.version))


def locks() -> st.SearchStrategy[Lock]:
    """Locks of single LFNs."""
    text = st.text(_ANY_TEXT, min_size=1, max_size=8)
    patterns = st.sampled_from(["*", "T2_*", "T?_X"])
    expiry = st.one_of(st.none(), st.integers(0, 2**60))
    return st.builds(Lock, text, text, lfn=lfns(), reason=text, sites=patterns, groups=patterns, expires_us=expiry)


def permissions() -> st.SearchStrategy[Permission]:
    """Owners and modes of directories."""
    return st.builds(
        Permission, directories(), st.just(""), words(), words(), st.integers(0, 0o7777), st.text("rwx:", max_size=9)
    )

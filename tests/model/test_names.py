"""Names: what is accepted comes back exactly, what is refused is told with its reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model import names
from holdfast.model.errors import InvalidName
from holdfast.model.names import BlockKey, DatasetKey, Lfn
from holdfast.testing import strategies as ours

PARSERS: dict[str, Callable[[str], object]] = {
    "site": names.site_name,
    "group": names.group_name,
    "dataset": names.dataset_key,
    "block": names.block_key,
    "block name": names.block_name,
    "directory": names.directory,
    "file name": names.file_name,
    "lfn": names.lfn,
}


@pytest.mark.parametrize("kind", PARSERS)
@given(text=ours.hostile_text())
def test_hostile_text_is_refused_or_kept_as_it_is(kind: str, text: str) -> None:
    try:
        parsed = PARSERS[kind](text)
    except InvalidName:
        return
    assert str(parsed) == text
    assert PARSERS[kind](str(parsed)) == parsed
    text.encode()


@given(ours.words())
def test_words_name_sites_and_groups(text: str) -> None:
    assert names.site_name(text) == names.group_name(text) == text


@given(ours.bad_words())
def test_bad_words_name_nothing(text: str) -> None:
    for parse in (names.site_name, names.group_name):
        with pytest.raises(InvalidName):
            parse(text)


@given(ours.dataset_keys())
def test_dataset_keys_come_back(key: DatasetKey) -> None:
    assert names.dataset_key(str(key)) == key


@given(ours.block_keys())
def test_block_keys_come_back(key: BlockKey) -> None:
    assert names.block_key(str(key)) == key


@given(ours.lfns())
def test_lfns_come_back(text: str) -> None:
    lfn = names.lfn(text)
    assert str(lfn) == names.join(*lfn) == text
    assert names.split(text) == lfn
    assert names.directory(lfn.dir) == lfn.dir
    assert names.file_name(lfn.name) == lfn.name


@given(ours.bad_lfns())
def test_bad_lfns_are_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        names.lfn(text)


@given(ours.bad_components())
def test_bad_components_name_no_file(text: str) -> None:
    with pytest.raises(InvalidName):
        names.file_name(text)


@given(ours.file_columns(min_size=1))
def test_many_names_are_checked_like_one(files: object) -> None:
    columns: ours.FileColumns = files  # type: ignore[assignment]
    names.check_files(columns.dirs, columns.dir_index, columns.names)
    for lfn in columns.lfns():
        assert str(names.lfn(lfn)) == lfn


@given(directory=ours.directories(), name=ours.hostile_text())
def test_many_names_are_refused_like_one(directory: str, name: str) -> None:
    def refuses(check: Callable[[], object]) -> bool:
        try:
            check()
        except InvalidName:
            return True
        return False

    # "/" in a name makes another directory of it: then only the bulk check can see what was meant.
    one = "/" in name or refuses(lambda: names.lfn(names.join(directory, name)))
    many = refuses(lambda: names.check_files([directory], [0, 0], ["plain", name]))
    assert one == many


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("data", DatasetKey("data")),
        ("/a/b-c_d.e/RAW", DatasetKey("/a/b-c_d.e/RAW")),
        ("/a#v1.0+x", DatasetKey("/a", "v1.0+x")),
        ("a b", DatasetKey("a b")),
        ("ü:ü", DatasetKey("ü:ü")),
    ],
)
def test_datasets(text: str, key: DatasetKey) -> None:
    assert names.dataset_key(text) == key


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("#1", "is empty"),
        ("a#", "not a version"),
        ("a#1#2", "not a version"),
        ("a# 1", "not a version"),
        ("a#" + "1" * 65, "not a version"),
        ("a::b", "contains '::'"),
        (" a", "blank"),
        ("a ", "blank"),
        ("/", "is empty"),
        ("a//b", "number 2"),
        ("a/../b", "number 2"),
        ("/a/.", "number 2"),
        ("a\nb", "U+000A at position 1"),
        ("a\udcffb", "not UTF-8 at position 1"),
        ("é" * 128, "component longer than 255"),
        ("/".join(["a" * 200] * 3), "602 bytes long, more than 512"),
    ],
)
def test_bad_datasets(text: str, says: str) -> None:
    with pytest.raises(InvalidName) as caught:
        names.dataset_key(text)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a", "lacks '::'"),
        ("::b", "is empty"),
        ("a::", "is empty"),
        ("a::b/c", "contains"),
        ("a::b#c", "contains"),
        ("a#1 ::b", "not a version"),
        ("a::" + "b" * 129, "129 bytes long"),
    ],
)
def test_bad_blocks(text: str, says: str) -> None:
    with pytest.raises(InvalidName) as caught:
        names.block_key(text)
    assert says in str(caught.value)


def test_a_block_is_cut_in_one_place() -> None:
    assert names.block_key("a:::b") == BlockKey(DatasetKey("a:"), "b")
    with pytest.raises(InvalidName, match="begins with ':'"):
        names.block_name(":b")


@pytest.mark.parametrize(
    ("text", "lfn"),
    [("/a", Lfn("/", "a")), ("/a/b/c", Lfn("/a/b", "c")), ("/...", Lfn("/", "...")), ("/ / ", Lfn("/ ", " "))],
)
def test_lfns(text: str, lfn: Lfn) -> None:
    assert names.lfn(text) == lfn


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a", "not absolute"),
        ("/", "is empty"),
        ("/a//b", "is empty (number 2)"),
        ("/a/b/", "(number 3)"),
        ("/..", "'..'"),
        ("/a\x7f", "U+007F at position 2"),
        ("/a\x85", "U+0085"),
        ("/a\u2029", "U+2029"),
        ("/" + "a" * 256, "longer than 255"),
        ("/" + "/".join(["a" * 255] * 4) + "/b", "1026 bytes long"),
    ],
)
def test_bad_lfns(text: str, says: str) -> None:
    with pytest.raises(InvalidName) as caught:
        names.lfn(text)
    assert says in str(caught.value)


def test_the_longest_lfn_is_taken_in_both_ways() -> None:
    directory = "/" + "/".join(["a" * 255] * 3)
    longest = "b" * (names.LFN_BYTES_MAX - len(directory) - 1)
    assert names.lfn(names.join(directory, longest)).name == longest
    names.check_files([directory], [0], [longest])
    for check in (
        lambda: names.lfn(names.join(directory, longest + "b")),
        lambda: names.check_files([directory], [0], [longest + "b"]),
    ):
        with pytest.raises(InvalidName, match="long"):
            check()


@pytest.mark.parametrize("kind", PARSERS)
def test_an_error_is_one_line(kind: str) -> None:
    with pytest.raises(InvalidName) as caught:
        PARSERS[kind]("/a\n\udcff\u2028b::c")
    assert len(str(caught.value).splitlines()) == 1
    str(caught.value).encode()


def test_a_long_bad_name_is_shown_in_part() -> None:
    with pytest.raises(InvalidName) as caught:
        names.lfn("/" + "a" * 5000)
    assert len(str(caught.value)) < 300


@given(st.sampled_from(["e\u0301", "é", "E", "e", "K", "\u212a"]))
def test_names_are_not_normalised(text: str) -> None:
    assert names.file_name(text) == text

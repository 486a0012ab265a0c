"""A published image is read whole or not at all, by whoever comes, whatever happens to the files."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.inventory.image import part_file, published
from holdfast.inventory.image.image import Image, follow
from holdfast.inventory.image.published import PublishedImage
from holdfast.inventory.image.publisher import MANIFEST, Publisher
from holdfast.model import changes as c
from holdfast.model import steps
from holdfast.model.errors import BrokenInvariant, Conflict, OperatorError, UnknownName
from holdfast.model.records import Group
from holdfast.testing import random_changes
from holdfast.testing.memory_store import MemoryStore
from holdfast.testing.random_changes import BEGINNING
from holdfast.testing.snapshots import assert_same, described


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.commit(BEGINNING)
    for seed in range(60):
        with store.snapshot() as view:
            change_set = random_changes.change_set(seed, view)
        try:
            store.commit(change_set)
        except Exception:  # noqa: BLE001 - many of them are refused; those that are not make the content
            continue
    return store


@pytest.fixture
def image(store: MemoryStore) -> Image:
    image = Image.empty()
    follow(store, image)
    return image


@pytest.fixture
def publisher(fast_folder: Path, image: Image) -> Iterator[Publisher]:
    with Publisher(fast_folder) as publisher:
        publisher.publish(image.tables)
        yield publisher


def _add_group(store: MemoryStore, image: Image, name: str) -> None:
    store.commit(c.ChangeSet((c.PutGroup(Group(name)),), "me", "why"))
    follow(store, image)


def _manifest(folder: Path) -> dict[str, object]:
    return json.loads((folder / MANIFEST).read_bytes().partition(b"\n")[2])


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.part"))


@pytest.mark.usefixtures("publisher")
def test_what_is_mapped_is_what_was_published(fast_folder: Path, image: Image) -> None:
    assert_same(image.snapshot(), PublishedImage(fast_folder).snapshot())
    published.check(fast_folder)


def test_a_reader_keeps_what_it_has_and_sees_what_is_new(
    fast_folder: Path, image: Image, store: MemoryStore, publisher: Publisher
) -> None:
    reader = PublishedImage(fast_folder)
    held = reader.snapshot()
    before = described(held)
    _add_group(store, image, "another")
    assert described(reader.snapshot()) == before
    publisher.publish(image.tables)
    assert_same(image.snapshot(), reader.snapshot())
    for path in fast_folder.iterdir():
        path.unlink()
    assert described(held) == before


def test_a_small_change_writes_a_manifest_and_little_else(
    fast_folder: Path, image: Image, store: MemoryStore, publisher: Publisher
) -> None:
    before = set(_parts(fast_folder))
    _add_group(store, image, "another")
    publisher.publish(image.tables)
    after = set(_parts(fast_folder))
    assert len(after - before) <= 2
    assert len(after) == len(_manifest(fast_folder)["files"])


def test_a_folder_has_one_publisher(fast_folder: Path, publisher: Publisher) -> None:
    with pytest.raises(Conflict, match="another process publishes"):
        Publisher(fast_folder)
    publisher.close()
    publisher.close()
    Publisher(fast_folder).close()


def test_there_is_nothing_published(fast_folder: Path) -> None:
    with pytest.raises(UnknownName, match="no published image"):
        PublishedImage(fast_folder / "none").tables()


@pytest.mark.usefixtures("publisher")
def test_a_part_that_is_cut_off(fast_folder: Path) -> None:
    for path in _parts(fast_folder):
        whole = path.read_bytes()
        for length in (0, 5, 20, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:length])
            with pytest.raises(BrokenInvariant, match=r"cut off|not what was written|bytes long") as caught:
                PublishedImage(fast_folder).tables()
            assert caught.value.place == str(path)
        path.write_bytes(whole)
    PublishedImage(fast_folder).tables()


@pytest.mark.usefixtures("publisher")
def test_each_byte_of_a_part_counts(fast_folder: Path) -> None:
    path = max(_parts(fast_folder), key=lambda path: path.stat().st_size)
    whole = bytearray(path.read_bytes())
    arrays, _ = part_file.read(path)
    longest = max(arrays.values(), key=lambda array: array.nbytes).tobytes()
    whole[bytes(whole).rindex(longest) + len(longest) // 2] ^= 1
    path.write_bytes(whole)
    with pytest.raises(BrokenInvariant, match="its column"):
        published.check(fast_folder)


@pytest.mark.usefixtures("publisher")
@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', "null"])
def test_a_manifest_that_is_damaged(fast_folder: Path, text: str) -> None:
    (fast_folder / MANIFEST).write_text(text)
    with pytest.raises(BrokenInvariant, match="manifest"):
        PublishedImage(fast_folder).tables()


@pytest.mark.usefixtures("publisher")
def test_each_byte_of_the_manifest_counts(fast_folder: Path) -> None:
    text = (fast_folder / MANIFEST).read_text()
    (fast_folder / MANIFEST).write_text(text.replace('"n_numbers":', '"n_numbers":1'))
    with pytest.raises(BrokenInvariant, match="manifest"):
        PublishedImage(fast_folder).tables()


@pytest.mark.usefixtures("publisher")
def test_what_was_written_before_the_last_start_is_proved(
    fast_folder: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(published, "boot", lambda: "another start")
        assert_same(image.snapshot(), PublishedImage(fast_folder).snapshot())
        path = max(_parts(fast_folder), key=lambda path: path.stat().st_size)
        whole = path.read_bytes()
        path.write_bytes(whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:])
        with pytest.raises(BrokenInvariant, match="not what was written"):
            PublishedImage(fast_folder).tables()


@pytest.mark.usefixtures("publisher")
def test_a_manifest_of_another_format(fast_folder: Path) -> None:
    _, _, body = (fast_folder / MANIFEST).read_text().partition("\n")
    (fast_folder / MANIFEST).write_text('{"format": 99, "hash": ""}\n' + body)
    with pytest.raises(OperatorError, match="format 99"):
        PublishedImage(fast_folder).tables()


@pytest.mark.usefixtures("publisher")
def test_a_part_that_is_not_there(fast_folder: Path) -> None:
    _parts(fast_folder)[0].unlink()
    with pytest.raises(BrokenInvariant, match="not there"):
        PublishedImage(fast_folder).tables()


def test_a_publisher_that_dies_leaves_the_last_manifest(
    fast_folder: Path, image: Image, store: MemoryStore, publisher: Publisher
) -> None:
    before = described(image.snapshot())
    _add_group(store, image, "another")
    for step in ("image.parts-written", "image.manifest-replaced", "image.old-removed"):

        def die(reached: str, step: str = step) -> None:
            if reached == step:
                raise KeyboardInterrupt

        with steps.observed(die), pytest.raises(KeyboardInterrupt):
            publisher.publish(image.tables)
        expected = before if step == "image.parts-written" else described(image.snapshot())
        assert described(PublishedImage(fast_folder).snapshot()) == expected
    publisher.close()
    with Publisher(fast_folder) as another:
        another.publish(image.tables)
    assert len(_parts(fast_folder)) == len(_manifest(fast_folder)["files"])


def test_a_disk_that_is_full_harms_nothing(
    fast_folder: Path, image: Image, store: MemoryStore, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = described(image.snapshot())
    _add_group(store, image, "another")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(fast_folder))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", full)
        with pytest.raises(OperatorError, match="No space left"):
            publisher.publish(image.tables)
    assert described(PublishedImage(fast_folder).snapshot()) == before
    publisher.publish(image.tables)
    assert_same(image.snapshot(), PublishedImage(fast_folder).snapshot())

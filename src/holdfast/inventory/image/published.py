"""PublishedImage: the image that another process has published, mapped read-only.

Rules
  * ``tables`` gives the newest publication, whole; what it gave before stays
    valid, also when its files are gone.
  * Files that did not change are mapped once.
  * What was written before the machine started last is proved byte by byte:
    nobody waited for the disk when it was written.
  * A damaged or cut-off publication is an error that names the file; a folder
    without one is UnknownName. Nobody is given a part of an image.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import xxhash

from holdfast.inventory.image import layout, part_file
from holdfast.inventory.image.publisher import FORMAT, MANIFEST, boot
from holdfast.inventory.image.snapshot import ImageSnapshot
from holdfast.inventory.image.tables import ImageTables
from holdfast.model.errors import BrokenInvariant, OperatorError, UnknownName

TRIES_MAX = 20
"""How often a manifest may be replaced while we map its files."""


class PublishedImage:
    """The publications in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mapped: dict[str, tuple[layout.Arrays, dict[str, Any]]] = {}
        self._slots: dict[str, tuple[layout.Arrays, dict[str, Any]]] = {}
        self._seen: tuple[int, int, int] | None = None
        self._tables: ImageTables | None = None
        self._opening = threading.Lock()

    def snapshot(self) -> ImageSnapshot:
        """The newest publication."""
        return ImageSnapshot(self.tables())

    def tables(self) -> ImageTables:
        """The tables of the newest publication."""
        tables = self._tables
        if tables is not None and self._seen == self._manifest_now():
            return tables
        with self._opening:
            return self._open()

    @property
    def files(self) -> list[str]:
        """The names of the files that are mapped."""
        return sorted(self._mapped)

    def _open(self) -> ImageTables:
        for _ in range(TRIES_MAX):
            seen = self._manifest_now()
            if self._tables is not None and self._seen == seen:
                return self._tables
            manifest = self._manifest()
            try:
                self._map(manifest["files"], is_proved=manifest["boot"] == boot())
            except FileNotFoundError:
                continue  # Removed after a newer manifest was put in place: read that.
            self._tables = layout.read(manifest["state"], self._slots.__getitem__)
            self._seen = seen
            return self._tables
        raise BrokenInvariant(
            "the published image names files that are not there", place=str(self._folder), hint="publish it again"
        )

    def _map(self, files: dict[str, str], *, is_proved: bool) -> None:
        """Map the file of each slot, unless it is mapped already; prove each byte of those that may be half written."""
        for name in files.values():
            if not is_proved and name not in self._mapped:
                part_file.check(self._folder / name)
        mapped = {name: self._mapped.get(name) or part_file.read(self._folder / name) for name in files.values()}
        self._mapped, self._slots = mapped, {slot: mapped[name] for slot, name in files.items()}

    def _manifest_now(self) -> tuple[int, int, int]:
        try:
            found = (self._folder / MANIFEST).stat()
        except FileNotFoundError:
            raise UnknownName(
                f"there is no published image in {self._folder}", hint="a running server publishes one"
            ) from None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _manifest(self) -> dict[str, Any]:
        path = self._folder / MANIFEST
        head, _, body = path.read_bytes().partition(b"\n")
        try:
            described = json.loads(head)
            form, digest = described["format"], described["hash"]
            if form == FORMAT and xxhash.xxh3_64_hexdigest(body) != digest:
                raise ValueError("its hash is another")
        except (ValueError, KeyError, TypeError) as error:
            raise BrokenInvariant("the manifest of the published image is damaged", place=str(path)) from error
        if form != FORMAT:
            message = f"the published image is of format {form}, ours is {FORMAT}"
            raise OperatorError(message, place=str(path), hint="use the release that publishes it")
        manifest: dict[str, Any] = json.loads(body)
        return manifest


def check(folder: Path) -> None:
    """BrokenInvariant unless every byte of the newest publication is what was written; UnknownName if there is none."""
    image = PublishedImage(folder)
    image.tables()
    for name in image.files:
        part_file.check(folder / name)

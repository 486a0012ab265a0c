"""Publisher: writes an image into a folder that other processes map.

    manifest.json      the state, and which file lies in which slot; replaced atomically
    NUMBER.part        a part (``part_file``), written once
    .publisher         the lock of the one publisher

Rules
  * One publisher a folder: the second is told so and does nothing.
  * A part is written once; a publication after a small change writes a
    manifest and little else.
  * Files that the manifest no longer names are removed after it was replaced.
    Who has mapped them keeps them; who comes too late reads the new manifest.
  * A publisher that is killed leaves the last manifest, whole; what it had
    begun is removed by the next one.
  * What is published can be lost: the store has it all.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from pathlib import Path
from types import TracebackType

import xxhash

from holdfast.inventory.image import layout, part_file
from holdfast.inventory.image.tables import ImageTables
from holdfast.model import steps
from holdfast.model.errors import Conflict, OperatorError

FORMAT = 2
MANIFEST = "manifest.json"
_LOCK = ".publisher"
BOOT = Path("/proc/sys/kernel/random/boot_id")


class Publisher:
    """Publishes one image after the other into ``folder``, which is made if it is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._written: dict[str, tuple[object, str]] = {}
        """By slot: what its file was made from, held so that it stays the same object, and the file's name."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _failed(error, self._folder) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise Conflict("another process publishes into this folder", place=str(folder)) from error

    def publish(self, tables: ImageTables) -> None:
        """Publish ``tables``; OperatorError if the folder cannot be written, and then the last publication stands."""
        try:
            files = {part.slot: self._file(part) for part in layout.parts(tables)}
            steps.reach("image.parts-written")
            self._replace_manifest({"boot": boot(), "files": files, "state": layout.state(tables)})
            steps.reach("image.manifest-replaced")
            self._written = {slot: self._written[slot] for slot in files}
            self._remove_all_but(files.values())
            steps.reach("image.old-removed")
        except OSError as error:
            raise _failed(error, self._folder) from error

    def close(self) -> None:
        """Leave the folder to another publisher."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _file(self, part: layout.PublishedPart) -> str:
        known = self._written.get(part.slot)
        # Somebody may have emptied the folder under us: then it is all written anew.
        if known is not None and known[0] is part.source and (self._folder / known[1]).exists():
            return known[1]
        name = f"{uuid.uuid4().hex}.part"
        part_file.write(self._folder / name, *part.make())
        self._written[part.slot] = part.source, name
        return name

    def _replace_manifest(self, manifest: object) -> None:
        body = json.dumps(manifest, separators=(",", ":")).encode()
        head = json.dumps({"format": FORMAT, "hash": xxhash.xxh3_64_hexdigest(body)})
        new = self._folder / f".{MANIFEST}.new"
        new.write_bytes(head.encode() + b"\n" + body)
        new.rename(self._folder / MANIFEST)

    def _remove_all_but(self, names: object) -> None:
        kept = {MANIFEST, _LOCK, *names}  # type: ignore[misc]
        for path in self._folder.iterdir():
            if path.name not in kept and path.name.endswith((".part", ".new")):
                path.unlink(missing_ok=True)


def boot() -> str:
    """Which start of this machine it is: what was written before another one may not have reached the disk."""
    try:
        return BOOT.read_text().strip()
    except OSError:
        return ""


def _failed(error: OSError, folder: Path) -> OperatorError:
    return OperatorError(
        f"the image cannot be published: {error.strerror or error}",
        place=str(error.filename or folder),
        hint="is there space, and may we write? Readers keep what was published last",
    )

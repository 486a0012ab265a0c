"""MemoryTree: what lies on an invented storage, and how to damage it.

The state behind ``MemoryDriver``, kept apart because it outlives drivers: a
process that crashes takes its driver with it, not the storage. Tests reach in
here behind the driver's back, the way disks and administrators do.

Rules
  * Everything happens at once: nobody sees half a change.
  * Every honest change gives the file a new version and a new ``changed_ns``,
    a new name or mode the latter only; damage done by ``flip_byte`` and
    ``truncate`` keeps version and times, as failing disks do.
  * Directories hold their entries by name; the root is always there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from holdfast.model import names
from holdfast.model.clock import Clock
from holdfast.storage.driver import Kind, NotADirectory, NotAFile, NotThere, Stat


@dataclass(frozen=True, slots=True)
class Node:
    """One name: a file with its bytes, a directory, or something else."""

    kind: Kind
    mtime_ns: int
    version: str
    data: bytes = b""
    mode: int = 0o644
    changed_ns: int | None = None
    written: bytes = b""
    """What ``data`` was before it was damaged; a storage that remembers checksums remembers those of this."""

    @property
    def stat(self) -> Stat:
        """What a driver says of it."""
        return Stat(self.kind, len(self.data), self.mtime_ns, self.version, self.changed_ns)


class MemoryTree:
    """Directories and files in memory; ``clock`` gives their times."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changes = 0
        self._entries: dict[str, dict[str, Node]] = {"/": {}}
        self._root = self.new_node(Kind.DIRECTORY)
        self._unnameable: dict[str, set[bytes]] = {}

    def copy(self) -> MemoryTree:
        """Another storage that holds the same: what is left when everybody who uses this one has died."""
        other = MemoryTree(self._clock)
        other._changes, other._root = self._changes, self._root
        other._entries = {directory: dict(entries) for directory, entries in self._entries.items()}
        other._unnameable = {directory: set(names) for directory, names in self._unnameable.items()}
        return other

    def new_node(self, kind: Kind, data: bytes = b"") -> Node:
        """A node that begins now."""
        self._changes += 1
        mode = 0o755 if kind is Kind.DIRECTORY else 0o644
        now_ns = self._clock() * 1000
        return Node(kind, now_ns, f"v{self._changes}", data, mode, now_ns, data)

    def touched(self, node: Node) -> Node:
        """The same, with something about it changed now that is neither its content nor its mtime."""
        return replace(node, changed_ns=self._clock() * 1000)

    def find(self, path: str) -> Node:
        """What ``path`` is; NotThere, or NotADirectory if its parent is none."""
        if path == "/":
            return self._root
        above, name = names.split(path)
        node = self.entries(above).get(name)
        if node is None:
            raise NotThere("no such file or directory")
        return node

    def find_file(self, path: str) -> Node:
        """What ``path`` is, if it is a file; else NotAFile."""
        node = self.find(path)
        if node.kind is not Kind.FILE:
            raise NotAFile(f"is a {node.kind.value}, not a file")
        return node

    def entries(self, directory: str) -> dict[str, Node]:
        """The entries of a directory: the tree's own, to be changed only through ``put_node`` and ``remove``."""
        found = self._entries.get(directory)
        if found is not None:
            return found
        self.find(directory)
        raise NotADirectory("is not a directory")

    def unnameable(self, directory: str) -> set[bytes]:
        """The entries of a directory whose names are none of ours."""
        return self._unnameable.get(directory, set())

    def is_empty(self, directory: str) -> bool:
        """Whether a directory is there and has no entries."""
        return self._entries.get(directory) == {} and not self.unnameable(directory)

    def has(self, path: str) -> bool:
        """Whether anything is at ``path``."""
        try:
            self.find(path)
        except (NotThere, NotADirectory):
            return False
        return True

    def put_node(self, path: str, node: Node) -> None:
        """Set a name; its directory has to be there."""
        above, name = names.split(path)
        self.entries(above)[name] = node

    def make_directory(self, path: str) -> None:
        """Make a directory and its parents; NotADirectory if a file is in the way."""
        made = ""
        for component in path.split("/")[1:] if path != "/" else []:
            made = f"{made}/{component}"
            if not self.has(made):
                self.put_node(made, self.new_node(Kind.DIRECTORY))
                self._entries[made] = {}
            self.entries(made)

    def set_mode(self, path: str, mode: int) -> None:
        """Change the mode of a name."""
        node = self.touched(replace(self.find(path), mode=mode))
        if path == "/":
            self._root = node
        else:
            self.put_node(path, node)

    def remove(self, path: str) -> Node:
        """Take a name away, that of an empty directory included; NotThere."""
        node = self.find(path)
        above, name = names.split(path)
        del self.entries(above)[name]
        if node.kind is Kind.DIRECTORY:
            del self._entries[path]
        return node

    def prune(self, directory: str) -> None:
        """Remove empty directories upwards: storages without directories have no empty ones."""
        while directory != "/" and self.is_empty(directory):
            self.remove(directory)
            directory = names.split(directory)[0]

    def files(self) -> Iterator[tuple[str, Node]]:
        """Every file and other thing with its path, in no particular order."""
        for directory, entries in self._entries.items():
            for name, node in entries.items():
                if node.kind is not Kind.DIRECTORY:
                    yield names.join(directory, name), node

    def put(self, path: str, data: bytes, *, mtime_ns: int | None = None) -> None:
        """Make or replace a file, its directories included."""
        self.make_directory(names.split(path)[0])
        node = self.new_node(Kind.FILE, data)
        self.put_node(path, node if mtime_ns is None else replace(node, mtime_ns=mtime_ns))

    def directories(self) -> Iterator[str]:
        """Every directory, the root included, in no particular order."""
        return iter(self._entries)

    def put_other(self, path: str) -> None:
        """Make something that is neither file nor directory."""
        self.make_directory(names.split(path)[0])
        self.put_node(path, self.new_node(Kind.OTHER))

    def put_unnameable(self, directory: str, raw: bytes) -> None:
        """Make an entry whose name is none of ours."""
        self.make_directory(directory)
        self._unnameable.setdefault(directory, set()).add(raw)

    def get(self, path: str) -> bytes | None:
        """The bytes of a file, None if there is no such file."""
        try:
            return self.find_file(path).data
        except (NotThere, NotADirectory, NotAFile):
            return None

    def flip_byte(self, path: str, position: int = 0) -> None:
        """Damage one byte of a file; size, times and version stay."""
        node = self.find_file(path)
        data = bytearray(node.data)
        data[position] ^= 0xFF
        self.put_node(path, replace(node, data=bytes(data)))

    def truncate(self, path: str, size: int) -> None:
        """Cut a file off; times and version stay."""
        node = self.find_file(path)
        self.put_node(path, replace(node, data=node.data[:size]))

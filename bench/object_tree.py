"""The yardstick of trees: two listings as trees of Python objects with hashes, as the tools before kept them.

    python bench/object_tree.py EXPECTED.tsv ACTUAL.tsv FOUND

Each directory is an object with its sub-directories by name and a list of its
files, each a dict of what is known of it. A file's hash is SHA-1 of its name and
size, a directory's of its name and of all that is in it, in order of names. Trees
with the same hash are alike, so only directories that differ are gone into; there,
files are looked up by name, not one by one as some tools did. ``FOUND`` has a
line of path and size for each row that one side has and the other has not.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from typing import Any


class Directory:
    """One directory and all below it."""

    __slots__ = ("directories", "files", "hash", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.directories: dict[str, Directory] = {}
        self.files: list[dict[str, Any]] = []
        self.hash = b""

    def add(self, parts: list[str], size: int) -> None:
        """Put a file where its path leads, from here."""
        node = self
        for part in parts[:-1]:
            found = node.directories.get(part)
            if found is None:
                found = node.directories[part] = Directory(part)
            node = found
        name = parts[-1]
        digest = hashlib.sha1(f"{name} {size}".encode(), usedforsecurity=False).digest()
        node.files.append({"name": name, "size": size, "hash": digest})

    def settle(self) -> bytes:
        """Put everything in order and work out the hashes, from the leaves upwards."""
        digest = hashlib.sha1(self.name.encode(), usedforsecurity=False)
        for name in sorted(self.directories):
            digest.update(name.encode() + self.directories[name].settle())
        self.files.sort(key=_name)
        for file in self.files:
            digest.update(file["name"].encode() + file["hash"])
        self.hash = digest.digest()
        return self.hash

    def lacking(self, other: Directory | None, path: str) -> Iterator[tuple[str, int]]:
        """Path and size of all files of this tree that another one has not, or not so."""
        if other is not None and other.hash == self.hash:
            return
        there = {file["name"]: file["hash"] for file in other.files} if other else {}
        for file in self.files:
            if there.get(file["name"]) != file["hash"]:
                yield f"{path}/{file['name']}", file["size"]
        for name, directory in self.directories.items():
            yield from directory.lacking(other.directories.get(name) if other else None, f"{path}/{name}")


def _name(file: dict[str, Any]) -> Any:
    return file["name"]


def read(listing: str) -> Directory:
    """The tree of a listing."""
    top = Directory("")
    with open(listing, encoding="utf-8") as file:
        next(file)
        for line in file:
            path, _, size = line.rpartition("\t")
            top.add(path.split("/")[1:], int(size))
    top.settle()
    return top


def main(expected: str, actual: str, found: str) -> None:
    """Read both, compare both ways, and write what differs."""
    sides = read(expected), read(actual)
    with open(found, "w", encoding="utf-8") as out:
        for one, other in (sides, sides[::-1]):
            out.writelines(f"{path}\t{size}\n" for path, size in one.lacking(other, ""))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What the tests of the keeper share: how it loads, a small write, and waiting for what happens beside."""

from __future__ import annotations

import threading
from collections.abc import Callable

from holdfast.inventory.image.image import Image, load
from holdfast.inventory.store import Head, Store
from holdfast.model import changes as c
from holdfast.model.records import Group

LONG_S = 30.0


def load_image(store: Store) -> Image:
    with store.snapshot() as snapshot:
        return load(snapshot)


def add_group(store: Store, name: str) -> Head:
    return store.commit(c.ChangeSet((c.PutGroup(Group(name)),), "me", "why"))


def wait_until(is_so: Callable[[], bool]) -> None:
    ticking = threading.Event()
    for _ in range(int(LONG_S / 0.01)):
        if is_so():
            return
        ticking.wait(0.01)
    raise AssertionError("it did not become so")

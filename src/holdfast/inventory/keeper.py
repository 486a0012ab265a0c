"""Keeper: keeps an image up with a store, and publishes it for other processes.

One thread follows the journal, brings changes into columns when there is
nothing to follow, and publishes now and then. It is what makes a process a
server of the inventory: any number of them on one store, each with an image of
its own, and none that the others need.

Rules
  * A snapshot is one position, whole. ``at_least`` makes it one that has a
    certain change; if it cannot be had in time, Behind says how far we are.
  * A store that is away stops nobody who reads; ``status`` tells since when
    the image may be old, and ``snapshot(age_s_max=...)`` refuses one too old.
  * If the store's history is not the image's any more, the image is made anew;
    from when that is noticed nothing is served of the old.
  * A head of another epoch than the image's is asked for in the store: on its
    history, the image has to come there; of a replaced one, ResyncNeeded.
  * The image is as old as the question to the store that found nothing more,
    however long the answer took, and however much is written meanwhile.
  * Whatever goes wrong is told and tried again; nothing ends the following but
    ``close``.
  * What cannot be published is told in ``status`` and the log; the image goes
    on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from holdfast import logs
from holdfast.inventory.image.image import Image, follow
from holdfast.inventory.image.published import PublishedImage
from holdfast.inventory.image.publisher import Publisher
from holdfast.inventory.image.reopening import reopened
from holdfast.inventory.image.snapshot import ImageSnapshot
from holdfast.inventory.image.tables import ImageTables
from holdfast.inventory.store import Head, Store
from holdfast.model.errors import BadInput, Behind, DatabaseAway, HoldfastError, ResyncNeeded

WAIT_S = 1.0
"""How long one wait for news lasts; also how old the age of an idle image may become."""
RETRY_S_MIN, RETRY_S_MAX = 0.05, 2.0
PUBLISHED_CHANGES_MAX = 128
"""So many changes at most of a table are told in a manifest: readers pay for each, at every publication."""
ENTRIES_AT_ONCE = 16
"""How many entries are read together: readers who wait for one wait for all, and each may be 25 MB when decoded."""

_log = logs.get("inventory")


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """How an image stands to its store."""

    head: Head
    age_s: float
    """How long ago the image was known to be all there is."""
    problem: str
    """Why it is not kept up, "" if it is."""
    publishing_problem: str
    """Why it is not published, "" if it is or need not be."""


class Keeper:
    """Keeps an image of ``store``. ``load`` makes an image of what the store has now.

    With ``publish_to`` it begins with what was published there last, if that is
    of the store's history. ``files`` "disk": the columns of files are not held
    in memory, but mapped from what was published; blocks and replicas are held.
    """

    def __init__(
        self,
        store: Store,
        load: Callable[[Store], Image],
        *,
        publish_to: Path | None = None,
        publish_every_s: float = 0.2,
        files: Literal["memory", "disk"] = "memory",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._load, self._monotonic = store, load, monotonic
        self._publish_every_s = publish_every_s
        self._published_s = float("-inf")
        self._published: ImageTables | None = None
        self._news = threading.Condition()
        self._ends = False
        self._problem = self._publishing_problem = ""
        self._complete_s = monotonic()
        if files == "disk" and publish_to is None:
            raise BadInput("files on disk need a folder to be published to")
        self._files_on_disk = PublishedImage(publish_to) if files == "disk" and publish_to is not None else None
        self._image: Image | None = load(store) if publish_to is None else reopened(store, publish_to, load)
        self._publisher = None if publish_to is None else Publisher(publish_to)
        self._publish_if_due()
        self._thread = threading.Thread(target=self._run, name="inventory-keeper", daemon=True)
        self._thread.start()

    def snapshot(
        self, at_least: Head | int = 0, *, timeout_s: float = 0.0, age_s_max: float | None = None
    ) -> ImageSnapshot:
        """The newest snapshot. ``at_least``: with that change in it. Behind if it cannot be had in ``timeout_s``."""
        if isinstance(at_least, Head):
            position, epoch = at_least.position, self._epoch_that_has(at_least)
        else:
            position, epoch = at_least, ""
        with self._news:
            self._news.wait_for(lambda: self._ends or self._has(position, epoch, age_s_max), timeout_s)
            if self._image is None or not self._has(position, epoch, age_s_max):
                raise self._behind(position)
            return self._image.snapshot()

    def status(self) -> ImageStatus:
        """How the image stands to its store."""
        with self._news:
            head = Head("", 0, "", 0) if self._image is None else self._image.head
            age_s = self._monotonic() - self._complete_s
            return ImageStatus(head, age_s, self._problem, self._publishing_problem)

    def close(self) -> None:
        """Stop following; snapshots that are held stay valid. Calling twice does no harm."""
        with self._news:
            self._ends = True
            self._news.notify_all()
        self._thread.join()
        if self._publisher is not None:
            self._publisher.close()

    def __enter__(self) -> Keeper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _epoch_that_has(self, wanted: Head) -> str:
        """The epoch in which an image at ``wanted.position`` has that very change; ResyncNeeded if there is none."""
        image = self._image
        if image is not None and image.head.epoch == wanted.epoch:
            return wanted.epoch
        try:
            self._store.entries(wanted.cursor, limit=1)
            return self._store.head().epoch
        except DatabaseAway as error:
            message = f"this server cannot tell whether it has position {wanted.position} of epoch {wanted.epoch}"
            raise Behind(message, hint=str(error)) from error

    def _has(self, position: int, epoch: str, age_s_max: float | None) -> bool:
        if self._image is None or self._image.head.position < position or epoch not in ("", self._image.head.epoch):
            return False
        return age_s_max is None or self._monotonic() - self._complete_s <= age_s_max

    def _behind(self, position: int) -> Behind:
        at = "being made anew" if self._image is None else f"at position {self._image.head.position}"
        age_s = self._monotonic() - self._complete_s
        wanted = f", not yet at {position}" if self._image is None or self._image.head.position < position else ""
        return Behind(
            f"this server's image is {at}{wanted}; it was complete {age_s:.1f} s ago",
            hint=self._problem or "ask again, or ask another server",
        )

    def _run(self) -> None:
        retry_s = RETRY_S_MIN
        while not self._ends:
            try:
                self._step()
                retry_s = RETRY_S_MIN
            except Exception as error:  # noqa: BLE001 - a thread that ended would leave an image that only gets older
                self._failed(error)
                with self._news:
                    self._news.wait_for(lambda: self._ends, retry_s)
                retry_s = min(2 * retry_s, RETRY_S_MAX)

    def _step(self) -> None:
        """Take in what is new and do one piece of the other work; if there is neither, wait for news."""
        if self._image is None:
            made = self._load(self._store)
            with self._news:
                self._image = made
        image = self._image
        asked_s, before = self._monotonic(), image.head.position
        head = follow(self._store, image, ENTRIES_AT_ONCE)
        is_complete = head.position - before < ENTRIES_AT_ONCE
        with self._news:
            self._problem = ""
            if is_complete:
                self._complete_s = asked_s
            self._news.notify_all()
        # A piece at each turn: if they waited until nobody writes, the changes would pile up.
        has_folded = image.fold_step()
        self._publish_if_due()
        if is_complete and not has_folded:
            self._store.wait(head.position, self._idle_s(image))

    def _idle_s(self, image: Image) -> float:
        """How long nothing needs to be done if there is no news."""
        if self._publisher is None or self._published is image.tables:
            return WAIT_S
        return min(WAIT_S, max(0.0, self._published_s + self._publish_every_s - self._monotonic()))

    def _failed(self, error: Exception) -> None:
        problem = _told(error)
        with self._news:
            is_known = self._problem == problem
            self._problem = problem
            if isinstance(error, ResyncNeeded):
                self._image = None
        if not is_known:
            _warn("the image is not kept up", problem)

    def _publish_if_due(self) -> None:
        image, now_s = self._image, self._monotonic()
        if self._publisher is None or image is None or self._published is image.tables:
            return
        if now_s - self._published_s < self._publish_every_s:
            return
        image.settle(PUBLISHED_CHANGES_MAX)
        tables = image.tables
        self._published_s = now_s
        try:
            self._publisher.publish(tables)
            if self._files_on_disk is not None:
                image.adopt_files(self._files_on_disk.tables().files, tables.files)
                tables = image.tables if image.head == tables.head else tables
            self._published, self._publishing_problem = tables, ""
        except Exception as error:  # noqa: BLE001 - whatever it is, the image must go on
            problem = _told(error)
            if self._publishing_problem != problem:
                _warn("the image is not published", problem)
            self._publishing_problem = problem


def _warn(event: str, problem: str) -> None:
    try:
        _log.warning(event, problem=problem)
    except (OSError, ValueError):
        pass  # The log's disk is full, or nobody reads it any more: ``status`` tells, and the image must go on.


def _told(error: Exception) -> str:
    """What people read of an error; one that is not ours says nothing without its class."""
    return str(error) if isinstance(error, HoldfastError) else f"{type(error).__name__}: {error}"

"""What people and other programs do in a damaged world, and a note of it: nobody can ask a check to know the future."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from random_scenario import DIRS, Deed, Event

from holdfast.model import changes as c
from holdfast.model import names
from holdfast.model.errors import HoldfastError
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, CopyRequest, Dataset, DeletionRequest, Lock, RequestState, Staging

if TYPE_CHECKING:
    from damaged_world import DamagedWorld, Known


class Deeds:
    """Deeds in ``world``. A deed that does not fit, or that the inventory refuses, is not done."""

    def __init__(self, world: DamagedWorld) -> None:
        self._world = world
        self.copies: set[tuple[str, str]] = set()
        """Site and LFN of what people have asked for."""
        self.deletions: set[tuple[str, str]] = set()
        """Site and LFN of what people have asked to go."""
        self.staged: list[tuple[str, str]] = []
        self.locked: set[str] = set()
        self.touched: set[tuple[str, str]] = set()
        """Site and path of what somebody has had in hand lately."""
        self.moved: set[BlockKey] = set()
        """Blocks of which files came or went lately."""

    # ---- what goes on -------------------------------------------------------------

    def ask_copy(self, site: str, number: int) -> list[Known]:
        """Ask for all of a block that a site has not got."""
        world = self._world
        held = world.held(site)
        lacking = [file for lfn, file in sorted(world.known.items()) if world.path(site, lfn) not in held]
        if not lacking:
            return []
        block = lacking[number % len(lacking)].block
        files = [file for file in lacking if file.block == block]
        scope = (BlockFiles(block.block, tuple(sorted(file.ordinal for file in files))),)
        world.commit(c.RequestCopy(CopyRequest(world.new_id(), block.dataset, site, scope)))
        self.copies |= {(site, file.lfn) for file in files}
        return files

    def ask_deletion(self, site: str, number: int) -> list[Known]:
        """Ask that a site loses a file of which others have copies."""
        world = self._world
        held = sorted(world.held(site).items())
        if not held:
            return []
        file = held[number % len(held)][1]
        scope = (BlockFiles(file.block.block, (file.ordinal,)),)
        world.commit(c.RequestDeletion(DeletionRequest(world.new_id(), site, dataset=file.block.dataset, scope=scope)))
        self.deletions.add((site, file.lfn))
        return [file]

    def stage(self, site: str, number: int) -> None:
        """Begin to publish a directory in which there is a file already."""
        world = self._world
        directory = world.path(site, f"/data/incoming{number}/x").removesuffix("/x")
        key = DatasetKey(f"staged{number}at{site}", "v1")
        world.commit(c.CreateDataset(Dataset(key, staging=Staging(site, directory))))
        self.staged.append((site, directory))
        world.trees[site].put(f"{directory}/new", b"to be published")
        self.touched.add((site, f"{directory}/new"))

    def lock(self, site: str, number: int) -> None:
        """Lock what lies at a site, known or not."""
        world = self._world
        paths = sorted(world.there(site))
        if paths:
            path = paths[number % len(paths)]
            lfn = path.replace("/pnfs/c", "/data", 1) if site == "C" else path
            world.commit(c.PutLock(Lock(world.new_id(), owner="me", lfn=lfn)))
            self.locked.add(lfn)

    # ---- what happens -------------------------------------------------------------

    def do(self, event: Event) -> None:
        """One event, if it can be."""
        site = self._world.site(event.site)
        with suppress(HoldfastError):
            match event.deed:
                case Deed.PUBLISH:
                    self._publish(site, event.number)
                case Deed.STAGE:
                    self.stage(site, event.number)
                case Deed.LOCK:
                    self.lock(site, event.number)
                case Deed.ARRIVE:
                    self._arrive(site, event.number)
                case Deed.DELETED:
                    self._deleted(site, event.number)
                case Deed.CANCEL:
                    self._cancel(site, event.number)
                case Deed.USER_WRITES:
                    path = self._world.path(site, f"{DIRS[event.number % len(DIRS)]}/user{event.number}")
                    self._put(site, path, b"by a user %d" % event.number)
                case Deed.USER_REMOVES | Deed.USER_MOVES:
                    self._take(site, event.number, is_moved=event.deed is Deed.USER_MOVES)
                case Deed.USER_RESTORES:
                    self._restore(site, event.number)

    def _put(self, site: str, path: str, data: bytes) -> None:
        self._world.trees[site].put(path, data)
        self.touched.add((site, path))

    def _publish(self, site: str, number: int) -> None:
        world, key = self._world, DatasetKey(f"new{number}at{site}", "v1")
        lfn = f"{DIRS[number % len(DIRS)]}/new{number}{site}"
        self.moved.add(BlockKey(key, "0"))
        self.touched.add((site, world.path(site, lfn)))
        world.register(key, site, {"0": {lfn: f"new {number} {site}".encode().ljust(30, b".")}})

    def _arrive(self, site: str, number: int) -> None:
        """An open copy has brought a file, as its engine tells it."""
        world = self._world
        with world.store.snapshot() as view:
            open_ = [(each, part) for each in view.copy_requests(site=site) for part in each.scope]
        if open_:
            request, part = open_[number % len(open_)]
            block = BlockKey(request.dataset, part.block)
            held = world.held(site)
            for file in world.known.values():
                path = world.path(site, file.lfn)
                if file.block == block and path not in held and (site, file.lfn) in self.copies:
                    self._put(site, path, file.data)
                    self.moved.add(block)
                    world.commit(c.FilesArrived(block, site, (file.ordinal,), world.time()))

    def _deleted(self, site: str, number: int) -> None:
        """An open deletion has taken a file, as its worker tells it."""
        world = self._world
        with world.store.snapshot() as view:
            open_ = [(each, part) for each in view.deletion_requests(site=site) if each.dataset for part in each.scope]
        if open_:
            request, part = open_[number % len(open_)]
            assert request.dataset is not None
            block = BlockKey(request.dataset, part.block)
            for path, file in sorted(world.held(site).items()):
                if file.block == block and file.ordinal in (part.ordinals or ()):
                    if world.trees[site].get(path) is not None:
                        world.trees[site].remove(path)
                    self.touched.add((site, path))
                    self.moved.add(block)
                    world.commit(c.FilesDeleted(block, site, (file.ordinal,), request.id))

    def _cancel(self, site: str, number: int) -> None:
        world = self._world
        with world.store.snapshot() as view:
            open_ = view.copy_requests(site=site)
        if open_:
            request = open_[number % len(open_)]
            world.commit(c.CloseRequest(request.id, RequestState.CANCELLED))
            self.moved |= {BlockKey(request.dataset, part.block) for part in request.scope}

    def _take(self, site: str, number: int, *, is_moved: bool) -> None:
        tree = self._world.trees[site]
        paths = sorted(self._world.there(site))
        if paths:
            path = paths[number % len(paths)]
            node = tree.remove(path)
            self.touched.add((site, path))
            if is_moved:
                to = f"/moved/{names.split(path)[1]}{number}"
                self._world.put_node(site, to, tree.touched(node))
                self.touched.add((site, to))

    def _restore(self, site: str, number: int) -> None:
        world = self._world
        held = [(path, file) for path, file in sorted(world.held(site).items()) if world.trees[site].get(path) is None]
        if held:
            path, file = held[number % len(held)]
            self._put(site, path, file.data)

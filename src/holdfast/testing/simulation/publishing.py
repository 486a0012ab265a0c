"""Publishing in the simulated world: directories become datasets while people change them."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.replication.giving_up import give_up
from holdfast.replication.publication import PublishOutcome
from holdfast.replication.publish import publish
from holdfast.testing.simulation.operating import ACTOR, Operating
from holdfast.testing.simulation.world import Source


@dataclass
class Publishing(Operating):
    """Deeds of publishing."""

    was_disturbed: bool = False
    """Whether people have changed files during this deed."""

    def begin(self) -> None:
        """Another deed begins."""
        super().begin()
        self.was_disturbed = False

    def publish(self) -> str:
        """Publish a directory, new or begun."""
        waiting = [each for each in self.world.sources if not each.is_published]
        return self.publish_one(self.source.choice(waiting)) if waiting else "nothing"

    def publish_one(self, source: Source) -> str:
        """Publish one directory; whoever meddles with its files meanwhile does it at a call of the driver."""
        world = self.world
        if world.faults.rates.peer_error and self.source.random() < 0.4:
            world.faults.meddle_at = self.source.randint(1, 60)
        world.faults.meddle = lambda: self._meddle(source)
        site = world.sites[source.site]
        report = self._run(
            lambda: publish(
                world.store,
                world.driver(site),
                site,
                source.directory,
                source.key,
                clock=world.clock,
                actor=ACTOR,
                workers=1,
            )
        )
        source.is_published = report.outcome is not PublishOutcome.INCOMPLETE
        return f"{source.key}: {report.outcome.value}"

    def _meddle(self, source: Source) -> None:
        """Somebody changes the directory while it is being published. Chance is that of the faults: this is one."""
        world, chance = self.world, self.world.faults.source
        self.was_disturbed = True
        there = [path for path in world.files(source.site) if path.startswith(f"{source.directory}/")]
        if not there:
            return
        path = chance.choice(there)
        how = chance.choice(("change", "remove", "add"))
        if how == "change":
            world.put(source.site, path, chance.randbytes(20))
        elif how == "remove" and len(there) > 1:
            world.trees[source.site].remove(path)
        else:
            world.put(source.site, f"{source.directory}/d0/late{world.new_id()}", chance.randbytes(5))
        world.mark_damage(source.site, path)

    def give_up(self) -> str:
        """Give up a publication; somebody may begin it again."""
        waiting = [each for each in self.world.sources if not each.is_published]
        if not waiting:
            return "nothing"
        source = self.source.choice(waiting)
        give_up(self.world.store, source.key, actor=ACTOR)
        return str(source.key)

"""The parts of the simulator: time, world, faults, deeds, checkers. ``holdfast.testing.simulator`` runs them."""

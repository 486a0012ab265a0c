"""Floor 2: what should be. Store, journal, image, snapshot."""

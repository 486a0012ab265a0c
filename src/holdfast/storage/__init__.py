"""Floor 2: what is. One driver interface, a file per protocol."""

"""Our speed beside that of simpler means, measured in one run on the same data: ``make bench``."""

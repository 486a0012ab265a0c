"""One day of an inventory of ten million files on real servers, with everything that goes wrong: ``make trial``."""

"""Floor 4: publish versions of datasets, so that others can have them."""

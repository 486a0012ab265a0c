"""Storages that speak XRootD, by its command-line tools."""

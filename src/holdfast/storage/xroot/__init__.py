"""Storages that speak XRootD, by its client library."""

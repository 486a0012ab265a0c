"""Storages by gfal2."""

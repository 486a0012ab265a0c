"""Storages that speak HTTP and WebDAV."""

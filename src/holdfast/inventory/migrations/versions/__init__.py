"""The revisions, from the first tables that were released on."""

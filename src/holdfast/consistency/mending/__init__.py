"""Asking for what puts a site right: copies of what is missing, removal of what nobody knows."""

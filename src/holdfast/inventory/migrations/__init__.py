"""Migrations: how the tables of one release become those of the next, by Alembic.

One file a revision in ``versions/``, each with the number of the version that it
leads to; ``holdfast.inventory.migrating`` carries them out. The version that an
inventory has stands in its ``head`` row and nowhere else.

A new revision: change ``schema.py`` and raise its VERSION, write the file by
the last one's example; its docstring's first line is what people are shown.

Rules
  * A revision never changes once it is released, and imports nothing of Holdfast:
    it says for itself what the tables are at its time.
  * Revisions on one database end in exactly the tables of ``schema.py``.
  * Nothing in it commits; all revisions of one migration are one transaction.
"""

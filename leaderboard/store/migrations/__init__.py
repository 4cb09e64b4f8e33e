"""Versions of the database's schema, one file each under ``versions``, run by Alembic from ``leaderboard.store.store``.

A new version is a new file ``vNNNN_what.py`` whose ``revision`` is the next number and whose ``down_revision`` is the
one before; ``leaderboard.store.schema.VERSION`` names the newest.
"""

"""The database of the board."""

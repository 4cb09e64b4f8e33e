"""The database of the board: its tables and versions, writing and reading runs, rebuilding it from run folders."""

"""What happened to a board, and who may change what."""

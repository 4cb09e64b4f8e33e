"""Tables as plain values: the board, those of the paper, the published systems."""

"""BEATs, which transformers does not have: the encoder of Microsoft's checkpoints."""

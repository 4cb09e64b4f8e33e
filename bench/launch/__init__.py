"""How runs are started: once each, in processes of their own, as a group of ranks, as a matrix."""

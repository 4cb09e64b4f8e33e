"""Data: ICBHI's files as recordings and cycles, their checks, their download, front-ends and the simulated set."""

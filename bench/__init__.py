"""What ties the house together: CLI, experiment spec, ICBHI data, front-ends and the training engine."""

from bench.core.version import __version__

__all__ = ["__version__"]

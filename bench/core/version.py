"""The package's version, in one place that nothing else is imported from."""

__version__ = "0.1.0"

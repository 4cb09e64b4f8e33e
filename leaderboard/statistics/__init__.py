"""Intervals, ranks and comparisons."""
